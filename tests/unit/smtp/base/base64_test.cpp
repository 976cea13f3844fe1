// base64: both ways, and what is refused.
#include "smtp/base/base64.hpp"

#include <gtest/gtest.h>

namespace base64_test {

TEST(Base64, GoesBothWays) {
  for (const std::string text : {"", "a", "ab", "abc", "abcd", "\xff\xfe\xfd"})
    EXPECT_EQ(smtp::from_base64(smtp::to_base64(text)), text) << text;
  EXPECT_EQ(smtp::to_base64("ab"), "YWI=");
  EXPECT_EQ(smtp::from_base64("Y W\r\n\tI ="), "ab") << "folds are passed over";
  EXPECT_EQ(smtp::from_base64("YWI"), "ab") << "padding may be missing";
  for (const std::string text : {"Y", "YWI==", "YW=", "=", "YWJj=", "YWI-", "YW=I"})
    EXPECT_EQ(smtp::from_base64(text), std::nullopt) << text;
}

} // namespace base64_test
