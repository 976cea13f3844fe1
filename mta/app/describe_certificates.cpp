// describe_certificates: see the header.
#include "mta/app/describe_certificates.hpp"

#include <boost/json.hpp>

#include "mta/log/time_stamp.hpp"
#include "smtp/base/text.hpp"

namespace mta {

namespace json = boost::json;

void describe_certificates(json::object &answer, const Config &config, const std::vector<EndingCertificate> &ending,
                           std::chrono::system_clock::time_point now) {
  json::array ours;
  for (const CertificateConfig &certificate : config.certificates) {
    if (!certificate.not_after) continue;
    json::array names;
    for (const auto &name : certificate.dns_names) names.emplace_back(smtp::escape(name));
    ours.push_back(json::object{{"name", certificate.name},
                                {"names", std::move(names)},
                                {"not_after", format_time_stamp(*certificate.not_after)},
                                {"days_left", days_until(*certificate.not_after, now)},
                                {"place", certificate.place}});
  }
  answer["certificates"] = std::move(ours);
  json::array theirs;
  json::array routes;
  json::array authorities;
  for (const EndingCertificate &one : ending) {
    json::object row{{"not_after", format_time_stamp(one.not_after)}, {"days_left", days_until(one.not_after, now)}};
    switch (one.whose) {
    case EndingCertificate::Whose::ours: break; // all of them are above
    case EndingCertificate::Whose::partner:
      row["partner"] = one.partner;
      row["host"] = smtp::escape(one.host);
      theirs.push_back(std::move(row));
      break;
    case EndingCertificate::Whose::route:
      row["host"] = smtp::escape(one.host);
      row["place"] = one.place;
      routes.push_back(std::move(row));
      break;
    case EndingCertificate::Whose::authority:
      row["file"] = one.name;
      row["subject"] = smtp::escape(one.subject);
      row["place"] = one.place;
      authorities.push_back(std::move(row));
      break;
    }
  }
  answer["partner_certificates"] = std::move(theirs);
  answer["route_certificates"] = std::move(routes);
  answer["authorities"] = std::move(authorities);
}

} // namespace mta
