// Zone: see the header.
#include "mta/auth/zone.hpp"

#include <optional>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "smtp/base/text.hpp"

namespace mta {

namespace {

namespace json = boost::json;

constexpr int longest_alias_chain = 8;

std::string plain_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return smtp::to_lower(name);
}

std::string_view type_word(auth::RecordType type) {
  switch (type) {
  case auth::RecordType::a: return "A";
  case auth::RecordType::aaaa: return "AAAA";
  case auth::RecordType::mx: return "MX";
  case auth::RecordType::txt: return "TXT";
  case auth::RecordType::ptr: return "PTR";
  }
  return "?";
}

/// SERVFAIL, TIMEOUT and NXDOMAIN.
std::optional<auth::DnsFact> failure_of(const json::value &value) {
  if (!value.is_string()) return std::nullopt;
  const std::string word = smtp::to_upper(std::string_view(value.get_string()));
  auth::DnsFact fact;
  if (word == "NXDOMAIN") {
    fact.status = smtp::DnsStatus::no_name;
  } else if (word == "SERVFAIL" || word == "TIMEOUT") {
    fact.status = smtp::DnsStatus::temporary;
    fact.detail = word == "SERVFAIL" ? "SERVFAIL from the resolver" : "no answer in time";
  } else {
    return std::nullopt;
  }
  return fact;
}

bool add_text(auth::DnsFact &fact, const json::value &record) {
  std::string text;
  if (record.is_string()) {
    text = std::string_view(record.get_string());
  } else if (record.is_array()) {
    for (const auto &part : record.get_array()) {
      if (!part.is_string()) return false;
      text += std::string_view(part.get_string());
    }
  } else {
    return false;
  }
  fact.texts.push_back(std::move(text));
  return true;
}

bool add_mx(auth::DnsFact &fact, const json::value &record) {
  if (!record.is_array() || record.get_array().size() != 2) return false;
  const auto &preference = record.get_array()[0];
  const auto &host = record.get_array()[1];
  if (!host.is_string() || !preference.is_int64() || preference.get_int64() < 0 || preference.get_int64() > 65535)
    return false;
  fact.hosts.push_back({static_cast<std::uint16_t>(preference.get_int64()), plain_name(std::string_view(host.get_string()))});
  return true;
}

bool add_record(auth::DnsFact &fact, std::string_view type, const json::value &record) {
  if (type == "TXT") return add_text(fact, record);
  if (type == "MX") return add_mx(fact, record);
  if (!record.is_string()) return type != "A" && type != "AAAA" && type != "PTR"; // a type that nobody here asks for
  const std::string_view text = record.get_string();
  if (type == "A" || type == "AAAA") {
    const auto address = smtp::IpAddress::parse(text);
    if (!address || address->is_v6() != (type == "AAAA")) return false;
    fact.addresses.push_back(*address);
  } else if (type == "PTR") {
    fact.texts.push_back(plain_name(text));
  }
  return true;
}

std::string_view form_of(std::string_view type) {
  if (type == "TXT") return "a list of lists of strings";
  if (type == "MX") return "a list of [preference, host]";
  if (type == "A") return "a list of IPv4 addresses";
  if (type == "AAAA") return "a list of IPv6 addresses";
  return "a list of strings";
}

smtp::Result<auth::DnsFact> read_type(std::string_view name, std::string_view type, const json::value &value) {
  if (auto failure = failure_of(value)) return *failure;
  const auto wrong = [&] {
    return smtp::fail(smtp::ErrorCode::bad_syntax,
                      fmt::format("{} {}: not {}, nor SERVFAIL, TIMEOUT or NXDOMAIN", smtp::escape(name, 80),
                                  smtp::escape(type, 20), form_of(type)));
  };
  auth::DnsFact fact;
  fact.status = smtp::DnsStatus::ok;
  if (!value.is_array()) return wrong();
  for (const auto &record : value.get_array())
    if (!add_record(fact, type, record)) return wrong();
  if (value.get_array().empty()) fact.status = smtp::DnsStatus::no_data;
  return fact;
}

} // namespace

smtp::Result<Zone> Zone::from(const json::object &object) {
  Zone zone;
  for (const auto &entry : object) {
    const std::string name = plain_name(entry.key());
    Name &made = zone.names_[name];
    if (auto failure = failure_of(entry.value())) {
      made.types["*"] = std::move(*failure);
      continue;
    }
    if (!entry.value().is_object())
      return smtp::fail(smtp::ErrorCode::bad_syntax,
                        fmt::format("{}: not an object of record types, nor SERVFAIL, TIMEOUT or NXDOMAIN",
                                    smtp::escape(name, 80)));
    for (const auto &records : entry.value().get_object()) {
      const std::string type = smtp::to_upper(records.key());
      const json::value &value = records.value();
      if (type == "CNAME") {
        const json::value *target = &value;
        if (value.is_array() && value.get_array().size() == 1) target = &value.get_array()[0];
        if (!target->is_string())
          return smtp::fail(smtp::ErrorCode::bad_syntax, fmt::format("{} CNAME: not one name", smtp::escape(name, 80)));
        made.alias = plain_name(std::string_view(target->get_string()));
        continue;
      }
      auto fact = read_type(name, type, value);
      if (!fact) return tl::unexpected(fact.error());
      made.types[type] = std::move(*fact);
    }
  }
  return zone;
}

smtp::Result<Zone> Zone::parse(std::string_view text) {
  boost::system::error_code error;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error) return smtp::fail(smtp::ErrorCode::bad_syntax, "not JSON: " + error.message());
  if (!value.is_object()) return smtp::fail(smtp::ErrorCode::bad_syntax, "not a JSON object of names");
  return from(value.get_object());
}

auth::DnsFact Zone::answer(const auth::DnsQuestion &question) const {
  std::string name = plain_name(question.name);
  auth::DnsFact fact;
  for (int hops = 0; hops <= longest_alias_chain; ++hops) {
    const auto found = names_.find(name);
    if (found == names_.end()) {
      fact.status = smtp::DnsStatus::no_name;
      return fact;
    }
    for (const std::string_view type : {std::string_view("*"), type_word(question.type)})
      if (const auto known = found->second.types.find(std::string(type)); known != found->second.types.end())
        return known->second;
    if (found->second.alias.empty()) {
      fact.status = smtp::DnsStatus::no_data;
      return fact;
    }
    name = found->second.alias;
  }
  fact.status = smtp::DnsStatus::temporary;
  fact.detail = fmt::format("more than {} CNAMEs", longest_alias_chain);
  return fact;
}

void Zone::answer_all(auth::DnsFacts &facts) const {
  const auto missing = facts.missing();
  facts.clear_missing();
  for (const auto &question : missing) facts.put(question, answer(question));
}

} // namespace mta
