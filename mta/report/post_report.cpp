#include "mta/report/post_report.hpp"

#include <fmt/format.h>

#include "mta/report/report_mail.hpp"
#include "smtp/base/text.hpp"

namespace mta {

Task<smtp::Result<void>> post_report(HttpServices services, Url url, std::string body) {
  HttpRequest request;
  request.url = std::move(url);
  request.method = HttpMethod::post;
  request.body = std::move(body);
  request.content_type = std::string(tls_report_media_type);
  const auto answer = co_await fetch(std::move(request), std::move(services));
  if (!answer) co_return tl::unexpected(answer.error());
  if (answer->status / 100 == 2) co_return smtp::Result<void>();
  const char *what = answer->status / 100 == 3 ? ", a redirect, which is not followed" : "";
  co_return smtp::fail(smtp::ErrorCode::protocol, fmt::format("the server answered {} {}{}", answer->status,
                                                              smtp::escape(answer->reason, 100), what));
}

} // namespace mta
