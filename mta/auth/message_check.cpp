// MessageCheck: see the header.
#include "mta/auth/message_check.hpp"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

namespace mta {

namespace {

/// RFC 8601 section 2.7.3 sets no number; as RFC 7208 section 4.6.4 does for "ptr".
constexpr std::size_t most_reverse_names = 10;

/// A long body may take as long as its hashes take on a slow machine; many different hashes of it may not.
constexpr std::chrono::nanoseconds for_each_octet{10};

std::chrono::nanoseconds thread_cpu_time() noexcept {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

} // namespace

/// Counts the CPU time of its life towards the budget; over it, what is not decided costs nothing more.
class MessageCheck::Meter {
public:
  explicit Meter(MessageCheck &check) : check_(check) {
    if (is_on()) begun_ = thread_cpu_time();
  }
  ~Meter() {
    if (!is_on()) return;
    const bool was_over = is_over();
    check_.used_ += thread_cpu_time() - begun_;
    if (was_over || !is_over()) return;
    const std::string reason =
        fmt::format("the checks took more than their CPU budget of {} ms",
                    std::chrono::duration_cast<std::chrono::milliseconds>(check_.request_.cpu_budget).count());
    if (check_.dkim_) check_.dkim_->give_up(reason);
    if (check_.arc_) check_.arc_->give_up(reason);
  }
  Meter(const Meter &) = delete;
  Meter &operator=(const Meter &) = delete;

private:
  [[nodiscard]] bool is_on() const noexcept { return check_.request_.cpu_budget.count() != 0; }
  [[nodiscard]] bool is_over() const noexcept { return check_.used_ > check_.request_.cpu_budget + check_.for_body_; }

  MessageCheck &check_;
  std::chrono::nanoseconds begun_{0};
};

MessageCheck::MessageCheck(CheckRequest request) : request_(std::move(request)) {
  if (!request_.client) helo_settled_ = mail_from_settled_ = iprev_settled_ = true;
  dkim_settled_ = arc_settled_ = dmarc_settled_ = true; // until there is a message
}

MessageCheck::~MessageCheck() = default;

void MessageCheck::header(const auth::HeaderFields &fields) {
  const Meter meter(*this);
  results_.authors = auth::find_author_domains(fields);
  dkim_.emplace(fields, request_.dkim);
  arc_.emplace(fields, request_.dkim);
  dkim_settled_ = arc_settled_ = dmarc_settled_ = false;
}

bool MessageCheck::work() {
  const Meter meter(*this);
  return dkim_->work() || arc_->work();
}

void MessageCheck::body(std::string_view octets) {
  for_body_ += octets.size() * for_each_octet;
  const Meter meter(*this);
  dkim_->body(octets);
  arc_->body(octets);
}

void MessageCheck::end() {
  const Meter meter(*this);
  dkim_->end();
  arc_->end();
}

bool MessageCheck::advance(auth::DnsFacts &facts) {
  // An evaluation that misses nothing is final. Each counts its own misses, also those that an earlier one noted.
  std::vector<auth::DnsQuestion> missing;
  busy_ = false;
  {
    const Meter meter(*this);
    evaluate(facts, missing);
  }
  facts.clear_missing();
  for (const auth::DnsQuestion &question : missing) static_cast<void>(facts.find(question.name, question.type));
  return facts.missing().empty() && !busy_ && helo_settled_ && mail_from_settled_ && iprev_settled_ && dkim_settled_ &&
         arc_settled_ && dmarc_settled_;
}

void MessageCheck::evaluate(auth::DnsFacts &facts, std::vector<auth::DnsQuestion> &missing) {
  const auto run = [&](bool &settled, auto evaluation) {
    if (settled) return;
    facts.clear_missing();
    evaluation();
    settled = facts.missing().empty();
    missing.insert(missing.end(), facts.missing().begin(), facts.missing().end());
  };
  const auto go_on_later = [this](bool &settled, bool is_busy) {
    settled = settled && !is_busy;
    busy_ = busy_ || is_busy;
  };
  if (request_.client) {
    const auth::SpfRequest spf{.client = *request_.client,
                               .helo = request_.helo,
                               .mail_from = request_.mail_from,
                               .receiver = request_.receiver,
                               .now = request_.dkim.now};
    run(helo_settled_, [&] { results_.spf.helo = auth::check_spf_helo(spf, facts); });
    run(mail_from_settled_, [&] { results_.spf.mail_from = auth::check_spf_mail_from(spf, facts); });
    run(iprev_settled_, [&] { results_.iprev = check_iprev(facts); });
  }
  if (!dkim_) return;
  run(dkim_settled_, [&] { results_.dkim = dkim_->verdicts(facts); });
  go_on_later(dkim_settled_, dkim_->is_busy());
  run(arc_settled_, [&] { results_.arc = arc_->verdict(facts); });
  go_on_later(arc_settled_, arc_->is_busy());
  // DMARC builds on the others: preliminary verdicts tell it which names to ask for, and no more.
  const bool inputs_settled = mail_from_settled_ && dkim_settled_;
  run(dmarc_settled_, [&] {
    results_.dmarc = auth::check_dmarc(
        {.authors = results_.authors, .spf = results_.spf, .dkim = results_.dkim, .options = request_.dmarc}, facts);
  });
  dmarc_settled_ = dmarc_settled_ && inputs_settled;
}

/// RFC 8601 section 3: the name that the address maps to must map back to it.
auth::Iprev MessageCheck::check_iprev(auth::DnsFacts &facts) const {
  using smtp::DnsStatus;
  auth::Iprev iprev;
  const auth::DnsFact *names = facts.find(request_.client->reverse_name(), auth::RecordType::ptr);
  if (names == nullptr) return iprev;
  if (names->status == DnsStatus::temporary) {
    iprev.result = auth::IprevResult::temperror;
    return iprev;
  }
  if (names->texts.empty()) return iprev; // permerror: no reverse name
  iprev.result = auth::IprevResult::fail;
  iprev.name = names->texts.front();
  const auto type = request_.client->is_v6() ? auth::RecordType::aaaa : auth::RecordType::a;
  for (std::size_t i = 0; i < std::min(names->texts.size(), most_reverse_names); ++i) {
    const auth::DnsFact *addresses = facts.find(names->texts[i], type);
    if (addresses == nullptr) continue;
    if (addresses->status == DnsStatus::temporary && iprev.result == auth::IprevResult::fail)
      iprev.result = auth::IprevResult::temperror;
    const auto &list = addresses->addresses;
    if (std::find(list.begin(), list.end(), *request_.client) == list.end()) continue;
    iprev.result = auth::IprevResult::pass;
    iprev.name = names->texts[i];
    break;
  }
  return iprev;
}

auth::CheckedMessage describe_checks(const MessageCheck &check, std::string authserv_id, bool has_message,
                                     std::string tls) {
  const CheckRequest &request = check.request();
  const CheckResults &results = check.results();
  auth::CheckedMessage view;
  view.authserv_id = std::move(authserv_id);
  view.client = request.client;
  view.helo = request.helo;
  view.mail_from = request.mail_from;
  if (request.client) {
    view.spf = &results.spf;
    view.iprev = &results.iprev;
  }
  if (has_message) {
    view.dkim_checked = true;
    view.dkim = results.dkim;
    view.dmarc = &results.dmarc;
    view.arc = &results.arc;
  }
  view.tls = std::move(tls);
  return view;
}

} // namespace mta
