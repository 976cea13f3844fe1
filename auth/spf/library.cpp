// The drive of libspf2: see the header. The one file that includes the library.
#include "auth/spf/library.hpp"

#include <cstring>
#include <memory>

#include <netinet/in.h>
#include <sys/socket.h>

extern "C" {
#include <spf2/spf.h>
}

namespace auth {

namespace {

template <auto release> struct Release {
  template <typename T> void operator()(T *object) const { release(object); }
};
using Server = std::unique_ptr<SPF_server_t, Release<SPF_server_free>>;
using Request = std::unique_ptr<SPF_request_t, Release<SPF_request_free>>;
using Response = std::unique_ptr<SPF_response_t, Release<SPF_response_free>>;
using Compiled = std::unique_ptr<SPF_record_t, Release<SPF_record_free>>;

SpfAnswers &answers_of(const SPF_dns_server_t *dns) {
  return *static_cast<SpfAnswers *>(dns->hook);
}

/// Compiles and makes sure that libspf2 kept every mechanism: it drops those past its limit without an error.
Compiled compile(SPF_server_t *server, SPF_response_t *response, const std::string &record) {
  SPF_record_t *made = nullptr;
  const SPF_errcode_t error = SPF_record_compile(server, response, &made, record.c_str());
  Compiled compiled(made);
  std::size_t terms = 0;
  for (std::size_t at = record.find(' '); at != std::string::npos; at = record.find(' ', at + 1)) ++terms;
  if (error != SPF_E_SUCCESS || !compiled || compiled->num_mech != terms) return nullptr;
  return compiled;
}

/// The record of an include or redirect, without the detour over a TXT answer among which libspf2 would choose.
SPF_errcode_t get_record(SPF_server_t *server, SPF_request_t *request, SPF_response_t *response,
                         SPF_record_t **made) noexcept {
  *made = nullptr;
  try {
    const auto record = answers_of(server->resolver).record(request->cur_dom);
    if (!record) return SPF_E_DNS_ERROR; // ends the evaluation: temperror through every level
    *made = compile(server, response, *record).release();
    return *made != nullptr ? SPF_E_SUCCESS : SPF_E_INTERNAL_ERROR;
  } catch (...) { // out of memory: must not pass through C
    return SPF_E_DNS_ERROR;
  }
}

bool add_answer(SPF_dns_rr_t *answer, const void *data, std::size_t size) {
  if (SPF_dns_rr_buf_realloc(answer, answer->num_rr, size) != SPF_E_SUCCESS) return false;
  std::memcpy(answer->rr[answer->num_rr], data, size);
  ++answer->num_rr;
  return true;
}

/// Fills `answer`; false ends the evaluation.
bool fill(SPF_dns_rr_t *answer, SpfAnswers &answers, std::string_view name, ns_type type) {
  if (type == ns_t_mx) {
    const auto hosts = answers.hosts(name);
    if (!hosts) return false;
    for (const std::string &host : *hosts)
      if (!add_answer(answer, host.c_str(), host.size() + 1)) return false;
    return true;
  }
  const auto addresses = answers.addresses(name);
  if (!addresses) return false;
  for (const smtp::IpAddress &address : *addresses)
    if (address.is_v6() == (type == ns_t_aaaa) &&
        !add_answer(answer, address.octets().data(), address.is_v6() ? 16 : 4))
      return false;
  return true;
}

/// Never returns NULL but without memory: libspf2 calls abort() then.
SPF_dns_rr_t *lookup(SPF_dns_server_t *dns, const char *name, ns_type type, int) noexcept {
  SPF_dns_rr_t *answer = SPF_dns_rr_new_init(dns, name, type, 0, NETDB_SUCCESS);
  if (answer == nullptr) return nullptr;
  bool filled = false;
  try {
    filled = fill(answer, answers_of(dns), name, type);
  } catch (...) { // out of memory: must not pass through C
    filled = false;
  }
  answer->herrno = !filled ? TRY_AGAIN : answer->num_rr == 0 ? NO_DATA : NETDB_SUCCESS;
  return answer;
}

SpfOutcome outcome_of(const SPF_response_t &response, SPF_errcode_t error) {
  switch (response.result) {
  case SPF_RESULT_PASS: return {SpfResult::pass, {}};
  case SPF_RESULT_FAIL: return {SpfResult::fail, {}};
  case SPF_RESULT_SOFTFAIL: return {SpfResult::softfail, {}};
  case SPF_RESULT_NEUTRAL: return {SpfResult::neutral, {}};
  case SPF_RESULT_TEMPERROR: return {SpfResult::temperror, SPF_strerror(response.err)};
  case SPF_RESULT_INVALID:
    // Section 2.6.6 and 2.6.7: libspf2 leaves this behind when an error kept it from a result.
    return {error == SPF_E_DNS_ERROR ? SpfResult::temperror : SpfResult::permerror, SPF_strerror(error)};
  case SPF_RESULT_NONE: // of the first record only, which is there
  case SPF_RESULT_PERMERROR: break;
  }
  return {SpfResult::permerror, SPF_strerror(response.err)};
}

} // namespace

SpfOutcome evaluate_with_libspf2(const std::string &record, const smtp::IpAddress &client, SpfAnswers &answers) {
  SPF_dns_server_t dns{};
  dns.lookup = lookup;
  dns.get_spf = get_record;
  dns.name = "portcullis";
  dns.hook = &answers;

  const Server server(SPF_server_new_dns(&dns, 0));
  if (!server) return {SpfResult::temperror, "out of memory"};
  // Its limit is per record; ours is over all of them.
  SPF_server_set_max_dns_mech(server.get(), 10000);
  // Its default explanation holds macros of the sender, which it expands at every fail, and mangles.
  SPF_response_t *messages = nullptr;
  const SPF_errcode_t explained = SPF_server_set_explanation(server.get(), "x", &messages);
  const Response said(messages);
  if (explained != SPF_E_SUCCESS) return {SpfResult::temperror, SPF_strerror(explained)};

  const Request request(SPF_request_new(server.get()));
  if (!request) return {SpfResult::temperror, "out of memory"};
  if (client.is_v6()) {
    in6_addr address{};
    std::memcpy(&address, client.octets().data(), sizeof address);
    SPF_request_set_ipv6(request.get(), address);
  } else {
    in_addr address{};
    std::memcpy(&address, client.octets().data(), sizeof address);
    SPF_request_set_ipv4(request.get(), address);
  }
  // Every name in the record is made by the caller: sender and HELO are not told to libspf2 at all.
  SPF_request_set_env_from(request.get(), "x@x.x");
  request->cur_dom = "x.x";

  // SPF_request_query_mailfrom() is passed by: it gives every client on 127.0.0.0/8 a pass.
  const Response response(SPF_response_new(request.get()));
  if (!response) return {SpfResult::temperror, "out of memory"};
  const Compiled compiled = compile(server.get(), response.get(), record);
  if (!compiled) return {SpfResult::permerror, "libspf2 cannot compile the record"};
  response->spf_record_exp = compiled.get();
  const SPF_errcode_t error = SPF_record_interpret(compiled.get(), request.get(), response.get(), 0);
  return outcome_of(*response, error);
}

} // namespace auth
