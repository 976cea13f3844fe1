// Any octets as portcullis.toml and as a partner file: findings or a configuration, never a crash.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mta/config/load_text.hpp"

namespace {

/// Every file exists; the one partner file is the text itself.
class FuzzFiles final : public mta::ConfigFiles {
public:
  explicit FuzzFiles(std::string_view text) : text_(text) {}
  [[nodiscard]] smtp::Result<std::string> read(const std::string &, std::size_t limit) const override {
    if (text_.size() > limit) return smtp::fail(smtp::ErrorCode::too_long, "larger than the limit");
    return std::string(text_);
  }
  [[nodiscard]] smtp::Result<std::vector<std::string>> list(const std::string &) const override {
    return std::vector<std::string>{"fuzz.toml"};
  }
  [[nodiscard]] smtp::Result<std::vector<tls::CertificateFacts>> certificates(const std::string &) const override {
    return std::vector<tls::CertificateFacts>(1);
  }
  [[nodiscard]] smtp::Result<void> check_key_pair(const std::string &, const std::string &) const override {
    return {};
  }

private:
  std::string_view text_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  // A NUL parts the main file from the partner file, so that both can be good at once.
  const auto cut = text.find('\0');
  const auto main_text = text.substr(0, cut);
  const FuzzFiles files(cut == std::string_view::npos ? text : text.substr(cut + 1));
  mta::LoadTextOptions options;
  options.folder = "/etc/portcullis";
  options.now = std::chrono::system_clock::time_point(std::chrono::hours(500'000));
  const auto loaded = mta::load_config_text(main_text, options, files);
  bool has_error = false;
  for (const auto &finding : loaded.findings) {
    has_error = has_error || finding.severity == mta::Severity::error;
    // One finding is one line of output, whatever the file says.
    if (finding.to_string().find('\n') != std::string::npos) std::abort();
  }
  if (has_error == (loaded.config != nullptr)) std::abort();
  return 0;
}
