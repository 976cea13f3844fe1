// Header hashes by libopendkim: see the header.
#include "auth/dkim/library_hashes.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <unordered_set>

// The header is C only: it speaks of _Bool.
#define _Bool bool
#include <opendkim/dkim.h>
#undef _Bool

#include "smtp/base/text.hpp"

namespace auth {

namespace {

/// The library compares each name of h= with each field: more is left to our own index, whose cost does not multiply.
constexpr std::size_t max_names = 100;
constexpr std::size_t max_fields = 500;
/// Names of all signatures times fields, and octets of the fields times signatures: many signatures over many fields
/// are ours, so that no tag makes a message cost more than its octets.
constexpr std::size_t max_comparisons = 10'000;
constexpr std::size_t max_octets = 131'072;
/// The library copies h= to a buffer of 4096 octets and c=, q= and i= to smaller ones.
constexpr std::size_t max_field = 4000;
constexpr std::size_t max_digest = 32;

struct Closer {
  void operator()(DKIM_LIB *library) const noexcept { dkim_close(library); }
  void operator()(DKIM *message) const noexcept { dkim_free(message); }
};
using Library = std::unique_ptr<DKIM_LIB, Closer>;
using Message = std::unique_ptr<DKIM, Closer>;

unsigned char *octets(std::string_view text) {
  return reinterpret_cast<unsigned char *>(const_cast<char *>(text.data())); // the library copies
}

/// What the library's callback fills: the digests of the signatures that it accepted, in the order they were fed.
struct Collector {
  std::vector<bool> usable;
  std::vector<std::string> digests;
};

/// Called by dkim_eom() when every hash is complete, before any signature is checked. REJECT makes it stop there: the
/// library would now look up and decode keys, which takes ten times as long as all the rest.
DKIM_CBSTAT collect(DKIM *message, DKIM_SIGINFO **signatures, int count) {
  auto &collector = *static_cast<Collector *>(dkim_get_user_context(message));
  for (std::size_t i = 0; i < collector.usable.size() && i < static_cast<std::size_t>(count); ++i) {
    if (!collector.usable[i]) continue; // it has no hash, and asking would end the process
    void *header = nullptr;
    void *body = nullptr;
    std::size_t header_size = 0;
    std::size_t body_size = 0;
    if (dkim_sig_gethashes(signatures[i], &header, &header_size, &body, &body_size) == DKIM_STAT_OK &&
        header_size <= max_digest)
      collector.digests[i].assign(static_cast<const char *>(header), header_size); // reserved: does not throw
  }
  return DKIM_CBSTAT_REJECT;
}

bool names(const Signature &signature, std::string_view name) {
  return std::any_of(signature.names.begin(), signature.names.end(),
                     [&](const std::string &one) { return smtp::equals_ignoring_case(one, name); });
}

bool is_signature(const HeaderField &field) {
  return smtp::equals_ignoring_case(field.name, "dkim-signature");
}

/// Whether the library reads the field as we do: it takes it for a C string, and bare CR, bare LF, VT and FF for white
/// space.
bool reads_alike(const HeaderField &field) {
  const std::string_view text = field.text;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto octet = static_cast<unsigned char>(text[at]);
    if (octet >= ' ' || octet == '\t') continue;
    if (text.substr(at, 2) != "\r\n") return false;
    ++at;
  }
  return true;
}

/// Whether the library takes out the value of b= and nothing else: it looks only at the octet in front of the first '='
/// of a tag, so that it takes "xb=" for b= and does not know "b =".
bool finds_signature(std::string_view value) {
  for (const std::string_view tag : smtp::split(value, ';')) {
    const auto equals = tag.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    if ((tag[equals - 1] == 'b') != (remove_folds(tag.substr(0, equals)) == "b")) return false;
  }
  return true;
}

/// Whether the library may see this signature. What it would read differently from us is kept from it: it takes the
/// value for a C string of ASCII, tells no case in tag names, and counts its own field among the DKIM-Signature fields
/// in h=.
bool may_see(const VettedField &vetted) {
  if (vetted.field->text.size() > max_field || vetted.signature->names.size() > max_names) return false;
  if (!smtp::is_ascii(vetted.field->text) || !reads_alike(*vetted.field)) return false;
  if (!finds_signature(vetted.field->value)) return false;
  return !names(*vetted.signature, "dkim-signature");
}

DKIM_STAT feed(DKIM *message, const HeaderField &field) {
  std::string_view text = field.text;
  if (text.ends_with("\r\n")) text.remove_suffix(2);
  return dkim_header(message, octets(text), text.size());
}

/// Null when the library cannot be set up.
Library open_library() {
  Library library(dkim_init(nullptr, nullptr));
  // No key is looked up in dkim_eoh(); a From that the library cannot parse does not stop it; no temporary files.
  unsigned flags = DKIM_LIBFLAGS_DELAYSIGPROC | DKIM_LIBFLAGS_BADSIGHANDLES;
  if (!library || dkim_options(library.get(), DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags, sizeof flags) != DKIM_STAT_OK ||
      dkim_set_final(library.get(), collect) != DKIM_STAT_OK)
    return nullptr;
  return library;
}

} // namespace

std::vector<std::string> library_header_hashes(const HeaderFields &fields, const std::vector<VettedField> &signatures) {
  std::vector<std::string> digests(signatures.size());
  std::vector<std::size_t> seen; // numbers of the signatures that the library sees
  for (std::size_t i = 0; i < signatures.size(); ++i)
    if (may_see(signatures[i])) seen.push_back(i);
  if (seen.empty()) return digests;

  std::unordered_set<std::string> wanted_names;
  std::size_t named_in_all = 0;
  for (const std::size_t i : seen) {
    named_in_all += signatures[i].signature->names.size();
    for (const std::string &name : signatures[i].signature->names) wanted_names.insert(smtp::to_lower(name));
  }
  // Only the fields that some h= names are fed; a malformed signature among them would make dkim_eoh() fail for all.
  std::vector<const HeaderField *> wanted;
  std::size_t octets_fed = 0;
  for (const HeaderField &field : fields.all()) {
    if (is_signature(field)) continue;
    if (!wanted_names.contains(smtp::to_lower(field.name))) continue;
    if (wanted.size() == max_fields || !reads_alike(field)) return digests;
    wanted.push_back(&field);
    octets_fed += field.text.size();
    if (named_in_all * wanted.size() > max_comparisons || octets_fed * seen.size() > max_octets) return digests;
  }

  // To set it up costs as much as to hash a header; a message has a handle of its own, and leaves nothing behind.
  thread_local const Library library = open_library();
  if (!library) return digests;
  DKIM_STAT status = DKIM_STAT_OK;
  const Message message(dkim_verify(library.get(), octets("-"), nullptr, &status));
  if (!message) return digests;
  Collector collector;
  if (dkim_set_user_context(message.get(), &collector) != DKIM_STAT_OK) return digests;
  for (const std::size_t i : seen)
    if (feed(message.get(), *signatures[i].field) != DKIM_STAT_OK) return digests;
  for (const HeaderField *field : wanted)
    if (feed(message.get(), *field) != DKIM_STAT_OK) return digests;
  if (dkim_eoh(message.get()) != DKIM_STAT_OK) return digests;

  DKIM_SIGINFO **list = nullptr;
  int count = 0;
  if (dkim_getsiglist(message.get(), &list, &count) != DKIM_STAT_OK || static_cast<std::size_t>(count) != seen.size())
    return digests;
  // An error here is mostly its own clock: it judges t= and x= by it, we by the time that we are given.
  for (std::size_t i = 0; i < seen.size(); ++i)
    collector.usable.push_back(dkim_sig_geterror(list[i]) == DKIM_SIGERROR_UNKNOWN);
  collector.digests.resize(seen.size());
  for (std::string &digest : collector.digests) digest.reserve(max_digest);
  bool testing = false;
  (void)dkim_eom(message.get(), &testing);
  for (std::size_t i = 0; i < seen.size(); ++i) digests[seen[i]] = std::move(collector.digests[i]);
  return digests;
}

} // namespace auth
