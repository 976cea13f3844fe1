// Foreign texts and times of reports, made harmless.
#include "mta/received/report_text.hpp"

#include "mta/store/received_report.hpp"
#include "smtp/base/text.hpp"
#include "smtp/message/plain_text.hpp"
#include "smtp/names/domain.hpp"

namespace mta {

std::optional<std::chrono::sys_seconds> time_since_1970(std::uint64_t number) noexcept {
  constexpr std::uint64_t year_2100 = 4'102'444'800;
  if (number >= year_2100 && number / 1000 < year_2100 && number / 1000 > 31'536'000) number /= 1000;
  if (number > latest_report_time) return std::nullopt;
  return std::chrono::sys_seconds(std::chrono::seconds(number));
}

std::string clean_report_text(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  const auto last = text.find_last_not_of(" \t\r\n");
  return smtp::one_line(text.substr(first, last - first + 1), smtp::TextCharset::utf8, longest_report_text);
}

std::string clean_report_domain(std::string_view text) {
  std::string domain = clean_report_text(text);
  if (domain.ends_with('.')) domain.pop_back();
  if (const auto parsed = smtp::Domain::parse(domain)) return parsed->ascii();
  return smtp::to_lower(domain);
}

std::string domain_of_subject(std::string_view subject) {
  static constexpr std::string_view label = "report domain:";
  const auto at = smtp::to_lower(subject).find(label);
  if (at == std::string::npos) return {};
  subject = smtp::trim(subject.substr(at + label.size()));
  return clean_report_domain(subject.substr(0, subject.find_first_of(" \t;,")));
}

std::string domain_of_contact(std::string_view contact) {
  const auto at = contact.rfind('@');
  if (at == std::string_view::npos) return {};
  contact.remove_prefix(at + 1);
  return smtp::to_lower(smtp::trim(contact.substr(0, contact.find_first_of("> ;,"))));
}

} // namespace mta
