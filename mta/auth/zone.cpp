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
  fact.hosts.push_back(
      {static_cast<std::uint16_t>(preference.get_int64()), plain_name(std::string_view(host.get_string()))});
  return true;
}

std::optional<std::string> decode_hex(std::string_view text) {
  const auto digit = [](char c) {
    const char lower = smtp::to_lower(c);
    return lower >= '0' && lower <= '9' ? lower - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  if (text.empty() || text.size() % 2 != 0) return std::nullopt;
  std::string octets;
  for (std::size_t at = 0; at < text.size(); at += 2) {
    const int high = digit(text[at]);
    const int low = digit(text[at + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    octets += static_cast<char>(high * 16 + low);
  }
  return octets;
}

/// "3 1 1 HEX", as in a zone file, or [3, 1, 1, "HEX"].
std::optional<smtp::TlsaRecord> parse_tlsa_record(const json::value &record) {
  std::vector<std::string> parts;
  if (record.is_string()) {
    for (const auto part : smtp::split(std::string_view(record.get_string()), ' '))
      if (!part.empty()) parts.emplace_back(part);
    for (std::size_t i = 4; i < parts.size(); ++i) parts[3] += parts[i]; // hex may be written in groups
  } else if (record.is_array()) {
    for (const auto &part : record.get_array()) {
      if (part.is_string())
        parts.emplace_back(std::string_view(part.get_string()));
      else if (part.is_int64())
        parts.push_back(std::to_string(part.get_int64()));
      else
        return std::nullopt;
    }
    if (parts.size() != 4) return std::nullopt;
  }
  if (parts.size() < 4) return std::nullopt;
  smtp::TlsaRecord made;
  std::uint8_t *const numbers[] = {&made.usage, &made.selector, &made.matching_type};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto number = smtp::parse_number(parts[i]);
    if (!number || *number > 255) return std::nullopt;
    *numbers[i] = static_cast<std::uint8_t>(*number);
  }
  auto data = decode_hex(parts[3]);
  if (!data) return std::nullopt;
  made.data = std::move(*data);
  return made;
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

smtp::Result<void> Zone::read_name(Name &made, const std::string &name, const json::object &object) {
  for (const auto &records : object) {
    const std::string type = smtp::to_upper(records.key());
    const json::value &value = records.value();
    const auto wrong = [&](std::string_view what) {
      return smtp::fail(smtp::ErrorCode::bad_syntax,
                        fmt::format("{} {}: {}", smtp::escape(name, 80), smtp::escape(type, 20), what));
    };
    if (type == "CNAME") {
      const json::value *target = &value;
      if (value.is_array() && value.get_array().size() == 1) target = &value.get_array()[0];
      if (!target->is_string()) return wrong("not one name");
      made.alias = plain_name(std::string_view(target->get_string()));
    } else if (type == "DNSSEC") {
      const std::string word = value.is_string() ? std::string(std::string_view(value.get_string())) : std::string();
      if (word != "secure" && word != "insecure" && word != "bogus") return wrong("not secure, insecure or bogus");
      made.dnssec = word == "secure" ? Dnssec::secure : word == "bogus" ? Dnssec::bogus : Dnssec::insecure;
    } else if (type == "TLSA" && value.is_array()) {
      for (const auto &record : value.get_array()) {
        auto parsed = parse_tlsa_record(record);
        if (!parsed) return wrong("not a list of \"usage selector matching-type HEX\"");
        made.tlsa.push_back(std::move(*parsed));
      }
      made.types[type].status = made.tlsa.empty() ? smtp::DnsStatus::no_data : smtp::DnsStatus::ok;
    } else {
      auto fact = read_type(name, type, value);
      if (!fact) return tl::unexpected(fact.error());
      made.types[type] = std::move(*fact);
    }
  }
  return {};
}

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
      return smtp::fail(
          smtp::ErrorCode::bad_syntax,
          fmt::format("{}: not an object of record types, nor SERVFAIL, TIMEOUT or NXDOMAIN", smtp::escape(name, 80)));
    if (auto read = zone.read_name(made, name, entry.value().get_object()); !read) return tl::unexpected(read.error());
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

Zone::Dnssec Zone::dnssec_of(std::string_view name) const {
  for (;;) {
    const auto found = names_.find(std::string(name));
    if (found != names_.end() && found->second.dnssec) return *found->second.dnssec;
    const auto dot = name.find('.');
    if (dot == std::string_view::npos) return Dnssec::insecure;
    name.remove_prefix(dot + 1);
  }
}

Zone::SignedFact Zone::look_up(std::string_view question, std::string_view type) const {
  std::string name = plain_name(question);
  SignedFact answer;
  answer.trust = smtp::DnsTrust::secure; // until a name of the chain is not
  for (int hops = 0; hops <= longest_alias_chain; ++hops) {
    const Dnssec dnssec = dnssec_of(name);
    if (dnssec != Dnssec::secure) answer.trust = smtp::DnsTrust::insecure;
    const auto found = names_.find(name);
    if (dnssec == Dnssec::bogus) {
      answer.fact.detail = "bogus: the zone file says so";
      return answer;
    }
    if (found == names_.end()) {
      answer.fact.status = smtp::DnsStatus::no_name;
      return answer;
    }
    for (const std::string_view word : {std::string_view("*"), type})
      if (const auto known = found->second.types.find(std::string(word)); known != found->second.types.end()) {
        answer.fact = known->second;
        if (type == "TLSA" && answer.fact.status == smtp::DnsStatus::ok) answer.tlsa = found->second.tlsa;
        return answer;
      }
    if (found->second.alias.empty()) {
      answer.fact.status = smtp::DnsStatus::no_data;
      return answer;
    }
    name = answer.canonical_name = found->second.alias;
  }
  answer.fact.status = smtp::DnsStatus::temporary;
  answer.fact.detail = fmt::format("more than {} CNAMEs", longest_alias_chain);
  return answer;
}

Zone::SignedFact Zone::alias_of(std::string_view question) const {
  const std::string name = plain_name(question);
  SignedFact answer;
  const Dnssec dnssec = dnssec_of(name);
  if (dnssec == Dnssec::bogus) {
    answer.fact.detail = "bogus: the zone file says so";
    return answer;
  }
  answer.trust = dnssec == Dnssec::secure ? smtp::DnsTrust::secure : smtp::DnsTrust::insecure;
  const auto found = names_.find(name);
  if (found == names_.end()) {
    answer.fact.status = smtp::DnsStatus::no_name;
  } else if (found->second.alias.empty()) {
    answer.fact.status = smtp::DnsStatus::no_data;
  } else {
    answer.fact.status = smtp::DnsStatus::ok;
    answer.fact.texts.push_back(found->second.alias);
  }
  return answer;
}

auth::DnsFact Zone::answer(const auth::DnsQuestion &question) const {
  return look_up(question.name, type_word(question.type)).fact;
}

void Zone::answer_all(auth::DnsFacts &facts) const {
  const auto missing = facts.missing();
  facts.clear_missing();
  for (const auto &question : missing) facts.put(question, answer(question));
}

} // namespace mta
