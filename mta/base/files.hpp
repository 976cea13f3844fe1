// Files that are small, or replaced as a whole: read to a limit, written so that a crash leaves the old one or the new.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "smtp/base/result.hpp"

namespace mta {

/// The error of a system call: "cannot ACT PATH: …" with the system's reason for errno `number`; full, not_found,
/// not_permitted or io.
[[nodiscard]] tl::unexpected<smtp::Error> file_failure(std::string_view act, const std::string &path, int number);

// All block on the disk. Their errors are those of file_failure() and what is said here.

/// A file of our own, which is never a link. Error too_long: it has more than `limit` octets.
[[nodiscard]] smtp::Result<std::string> read_whole_file(const std::string &path, std::size_t limit);
/// Makes the folder (0700) unless it is there.
[[nodiscard]] smtp::Result<void> make_folder(const std::string &path);
/// Created, renamed and removed names of the folder are on the disk when it returns.
[[nodiscard]] smtp::Result<void> sync_folder(const std::string &folder);
/// `path` becomes the new name of `fresh`, durably; what had that name is gone.
[[nodiscard]] smtp::Result<void> rename_file(const std::string &fresh, const std::string &path);
/// Puts the octets in the place of the file (0600), whole or not at all, by way of the file `fresh` of the same folder;
/// durable when it returns.
[[nodiscard]] smtp::Result<void> replace_file(const std::string &fresh, const std::string &path,
                                              std::string_view octets);
/// No error when it is not there.
[[nodiscard]] smtp::Result<void> remove_file(const std::string &path);

} // namespace mta
