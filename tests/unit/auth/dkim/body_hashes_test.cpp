// BodyHashes: one pass for each canonicalisation and algorithm gives the same digests as one for each limit.
#include "auth/dkim/body_hashes.hpp"

#include <gtest/gtest.h>

namespace body_hashes_test {

using auth::BodyHashes;
using auth::Canonical;
using auth::HashKind;

TEST(BodyHashes, LimitsShareAPassAndGetTheSameDigests) {
  struct Wish {
    Canonical canonical;
    HashKind hash;
    std::optional<std::uint64_t> limit;
  };
  std::vector<Wish> wishes;
  for (const auto canonical : {Canonical::simple, Canonical::relaxed})
    for (const auto hash : {HashKind::sha1, HashKind::sha256})
      for (const std::optional<std::uint64_t> limit :
           {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(0), std::optional<std::uint64_t>(1),
            std::optional<std::uint64_t>(700), std::optional<std::uint64_t>(5'000),
            std::optional<std::uint64_t>(1'000'000)})
        wishes.push_back({canonical, hash, limit});
  for (const std::string &body : {std::string(), std::string("a \t b\r\n\r\n\r\n"),
                                  std::string(4000, 'x') + "\r\n" + std::string(3000, 'y') + " \r\n"}) {
    for (const std::size_t cut : {1UL, 999UL, 100'000UL}) {
      for (const bool only_limited : {false, true}) {
        BodyHashes together;
        std::vector<std::size_t> numbers;
        for (const Wish &wish : wishes)
          if (wish.limit || !only_limited) numbers.push_back(together.want(wish.canonical, wish.hash, wish.limit));
        for (std::size_t at = 0; at < body.size(); at += cut) together.write(std::string_view(body).substr(at, cut));
        together.end();
        std::size_t i = 0;
        for (const Wish &wish : wishes) {
          if (!wish.limit && only_limited) continue;
          auth::BodyCanonicaliser canonicaliser(wish.canonical, wish.limit);
          auth::Digest digest(wish.hash);
          canonicaliser.write(body, digest);
          canonicaliser.end(digest);
          const std::size_t number = numbers[i++];
          EXPECT_EQ(together.digest(number), digest.finish());
          if (wish.limit) {
            EXPECT_EQ(together.length(number) > *wish.limit, canonicaliser.length() > *wish.limit);
          }
          if (only_limited) continue;
          auth::BodyCanonicaliser whole(wish.canonical);
          auth::Digest unused(wish.hash);
          whole.write(body, unused);
          whole.end(unused);
          EXPECT_EQ(together.length(number), whole.length());
        }
      }
    }
  }
}

} // namespace body_hashes_test
