// fit_body: see the header.
#include "mta/outbound/fit_body.hpp"

namespace mta {

Task<smtp::Result<void>> fit_body(BodySource &body, smtp::Transaction &transaction, const smtp::Capabilities &offered,
                                  std::span<char> scratch) {
  if (!transaction.has_8bit || offered.eight_bit_mime) co_return smtp::Result<void>();
  for (;;) {
    const auto more = body.survey(scratch);
    if (!more) co_return tl::unexpected(more.error());
    if (!*more) break;
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  }
  body.convert();
  transaction.size = body.size();
  transaction.has_8bit = false;
  transaction.sender.parameters.body = smtp::BodyType::seven_bit;
  co_return smtp::Result<void>();
}

} // namespace mta
