// The words of RFC 8601 for results.
#include "auth/core/results.hpp"

namespace auth {

std::string_view to_string(SpfResult result) noexcept {
  switch (result) {
  case SpfResult::none: return "none";
  case SpfResult::neutral: return "neutral";
  case SpfResult::pass: return "pass";
  case SpfResult::fail: return "fail";
  case SpfResult::softfail: return "softfail";
  case SpfResult::temperror: return "temperror";
  case SpfResult::permerror: return "permerror";
  }
  return "?";
}

std::string_view to_string(DkimResult result) noexcept {
  switch (result) {
  case DkimResult::none: return "none";
  case DkimResult::pass: return "pass";
  case DkimResult::fail: return "fail";
  case DkimResult::policy: return "policy";
  case DkimResult::neutral: return "neutral";
  case DkimResult::temperror: return "temperror";
  case DkimResult::permerror: return "permerror";
  }
  return "?";
}

std::string_view to_string(ArcResult result) noexcept {
  switch (result) {
  case ArcResult::none: return "none";
  case ArcResult::pass: return "pass";
  case ArcResult::fail: return "fail";
  }
  return "?";
}

std::string_view to_string(DmarcResult result) noexcept {
  switch (result) {
  case DmarcResult::none: return "none";
  case DmarcResult::pass: return "pass";
  case DmarcResult::fail: return "fail";
  case DmarcResult::temperror: return "temperror";
  case DmarcResult::permerror: return "permerror";
  }
  return "?";
}

std::string_view to_string(DmarcPolicy policy) noexcept {
  switch (policy) {
  case DmarcPolicy::none: return "none";
  case DmarcPolicy::quarantine: return "quarantine";
  case DmarcPolicy::reject: return "reject";
  }
  return "?";
}

std::string_view to_string(OverrideKind kind) noexcept {
  switch (kind) {
  case OverrideKind::local_policy: return "local_policy";
  case OverrideKind::mailing_list: return "mailing_list";
  case OverrideKind::other: return "other";
  case OverrideKind::policy_test_mode: return "policy_test_mode";
  case OverrideKind::trusted_forwarder: return "trusted_forwarder";
  }
  return "?";
}

} // namespace auth
