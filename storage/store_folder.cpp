#include "storage/store_folder.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/rocksdb_store.hpp"

namespace cpns::storage {

namespace {

// Equal length, so that one write within a sector changes the marker from one to the other. Schema 1 has rows without a
// version; a program that knows schema 1 alone cannot read the rows of schema 2.
constexpr std::string_view marker_begun = "cpns store, schema 2, begun \n";
constexpr std::string_view marker_complete = "cpns store, schema 2, whole \n";
constexpr std::string_view marker_begun_1 = "cpns store, schema 1, begun \n";
constexpr std::string_view marker_complete_1 = "cpns store, schema 1, whole \n";
constexpr std::string_view marker_family = "cpns store, schema ";
constexpr std::string_view marker_node = "cpns node of a database, ";  // its identity and a line end follow
static_assert(marker_begun.size() == marker_complete.size());
constexpr std::size_t max_marker_size = 256;
constexpr std::string_view probe_name = "CPNS_PROBE";

struct contents {
  bool marker = false;
  bool current = false;  ///< RocksDB's file that names its newest manifest
  bool others = false;   ///< anything else
};

result<contents> look_into(const std::filesystem::path& folder) {
  std::error_code ec;
  contents found;
  for (std::filesystem::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    const auto name = it->path().filename();
    if (name == store_marker_name)
      found.marker = true;
    else if (name == "CURRENT")
      found.current = true;
    else
      found.others = true;
  }
  if (ec) return fail(errc::store_unavailable, "cannot list " + folder.string() + ": " + ec.message());
  return found;
}

status make_folder(const std::filesystem::path& folder) {
  std::error_code ec;
  const auto parent = std::filesystem::absolute(folder, ec).parent_path();
  if (!ec) std::filesystem::create_directories(parent, ec);
  if (ec)
    return fail(errc::store_unavailable, "cannot create the folder " + parent.string() + ": " + ec.message());
  if (::mkdir(folder.c_str(), 0700) != 0) {
    if (errno == EEXIST) return {};
    return fail(file_error(errno, errc::store_unavailable, "cannot create the folder", folder));
  }
  return sync_folder(parent);
}

/// Removes the rights of group and others, which could read names and sizes of files.
status close_to_others(const std::filesystem::path& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0)
    return fail(
        file_error(errno, errc::store_unavailable, "cannot read the attributes of the folder", folder));
  if (!S_ISDIR(info.st_mode))
    return fail(errc::store_unavailable, folder.string() + " is not a folder; give the store one of its own");
  if ((info.st_mode & 077) == 0) return {};
  if (::chmod(folder.c_str(), 0700) != 0)
    return fail(file_error(errno, errc::store_unavailable, "cannot set mode 0700 on the folder", folder));
  return {};
}

/// Creates it if it is missing.
status private_folder(const std::filesystem::path& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) {
    if (errno != ENOENT)
      return fail(
          file_error(errno, errc::store_unavailable, "cannot read the attributes of the folder", folder));
    CPNS_CHECK(make_folder(folder));
  }
  return close_to_others(folder);
}

result<descriptor> locked_marker(const std::filesystem::path& folder) {
  const auto path = folder / store_marker_name;
  descriptor marker(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!marker.valid())
    return fail(file_error(errno, errc::store_unavailable, "cannot open for writing", path));
  CPNS_CHECK(lock_against_others(marker, folder));
  return marker;
}

status write_whole(const descriptor& marker, std::string_view text, const std::filesystem::path& path) {
  const auto n = ::pwrite(marker.get(), text.data(), text.size(), 0);
  if (n < 0) return fail(file_error(errno, errc::store_unavailable, "cannot write", path));
  if (static_cast<std::size_t>(n) != text.size())
    return fail(errc::store_full, "could only write a part of " + path.string());
  if (::fsync(marker.get()) != 0)
    return fail(file_error(errno, errc::store_unavailable, "cannot sync", path));
  return {};
}

error no_marker(const std::filesystem::path& folder) {
  return {errc::store_damaged, "the folder " + folder.string() + " holds files but no " +
                                   std::string(store_marker_name) +
                                   ": it is not a cpns store, or its marker was lost; name an empty "
                                   "folder, or restore the store from a backup"};
}

}  // namespace

result<store_folder> store_folder::claim(const std::filesystem::path& folder) {
  CPNS_CHECK(private_folder(folder));
  CPNS_TRY(const auto before, look_into(folder));
  if (!before.marker && (before.others || before.current)) return fail(no_marker(folder));
  CPNS_TRY(auto marker, locked_marker(folder));
  store_folder claimed(folder, std::move(marker));
  // Check again: the previous holder of the lock may just have created the store.
  CPNS_TRY(const auto now, look_into(folder));
  CPNS_CHECK(claimed.read_marker(now.others, now.current));
  if (claimed.older_) CPNS_CHECK(claimed.write_marker(marker_complete));
  return claimed;
}

status store_folder::inspect(const std::filesystem::path& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) {
    if (errno == ENOENT) return fail(errc::state_unknown, "the store in " + folder.string());
    return fail(
        file_error(errno, errc::store_unavailable, "cannot read the attributes of the folder", folder));
  }
  if (!S_ISDIR(info.st_mode)) return fail(errc::store_unavailable, folder.string() + " is not a folder");
  CPNS_TRY(const auto found, look_into(folder));
  if (!found.marker && !found.current && !found.others)
    return fail(errc::state_unknown, "the store in " + folder.string());
  if (!found.marker) return fail(no_marker(folder));
  const auto path = folder / store_marker_name;
  store_folder looked(folder, descriptor(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)));
  if (!looked.marker_.valid()) return fail(file_error(errno, errc::store_unavailable, "cannot open", path));
  // An empty marker would be written; a store that was not completed holds nothing.
  if (struct stat marker{}; ::fstat(looked.marker_.get(), &marker) == 0 && marker.st_size == 0)
    return fail(errc::state_unknown, "the store in " + folder.string());
  CPNS_CHECK(looked.read_marker(found.others, found.current));
  if (!looked.complete()) return fail(errc::state_unknown, "the store in " + folder.string());
  return {};
}

status store_folder::read_marker(bool others, bool current) {
  const auto path = folder_ / store_marker_name;
  CPNS_TRY(const auto raw, read_all(marker_.get(), max_marker_size, errc::store_damaged, path));
  const auto text = as_text(raw);
  if (text == marker_complete || text == marker_complete_1) {
    if (!current)
      return fail(errc::store_damaged,
                  "the store in " + folder_.string() +
                      " lost its file CURRENT; restore it from a backup (a store is never recreated)");
    complete_ = true;
    older_ = text == marker_complete_1;
    return {};
  }
  if (text == marker_begun || text == marker_begun_1) return {};
  // A crash between creating the marker and writing it leaves an empty marker and no other file.
  if (text.empty() && !others && !current) {
    CPNS_CHECK(write_marker(marker_begun));
    return sync_folder(folder_);
  }
  if (text.starts_with(marker_node))
    return fail(errc::store_damaged, "the folder " + folder_.string() +
                                         " is that of a node whose rows are in a database; name another one "
                                         "for a rocksdb store");
  if (text.starts_with(marker_family) && text.size() == marker_complete.size())
    return fail(errc::store_unavailable,
                "the store in " + folder_.string() +
                    " has a layout that this version does not know; use the version that "
                    "wrote it, or a newer one");
  return fail(errc::store_damaged,
              "the marker " + path.string() + " is damaged; restore the store from a backup");
}

status store_folder::write_marker(std::string_view text) {
  return write_whole(marker_, text, folder_ / store_marker_name);
}

status store_folder::mark_complete() {
  CPNS_CHECK(sync_folder(folder_));
  CPNS_CHECK(write_marker(marker_complete));
  complete_ = true;
  return {};
}

status store_folder::probe() const {
  const auto path = folder_ / probe_name;
  const auto failed = [&path] {
    return fail(file_error(errno, errc::store_write_failed, "cannot write", path));
  };
  const descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return failed();
  CPNS_CHECK(write_all(fd.get(), as_bytes(marker_complete), path));
  // Both calls, since a disk may fail only one of them; RocksDB syncs its log with the first.
  if (::fdatasync(fd.get()) != 0 || ::fsync(fd.get()) != 0 || ::unlink(path.c_str()) != 0) return failed();
  return sync_folder(folder_);
}

result<node_folder> claim_node_folder(const std::filesystem::path& folder, entropy& random) {
  constexpr std::size_t identity_digits = 32;
  CPNS_CHECK(private_folder(folder));
  CPNS_TRY(const auto found, look_into(folder));
  if (found.current || found.others)
    return fail(errc::store_damaged, "the folder " + folder.string() +
                                         " holds other files, such as those of a rocksdb store; a node whose "
                                         "rows are in a database needs an empty one");
  CPNS_TRY(auto marker, locked_marker(folder));
  const auto path = folder / store_marker_name;
  CPNS_TRY(const auto raw, read_all(marker.get(), max_marker_size, errc::store_damaged, path));
  const auto text = as_text(raw);
  if (text.starts_with(marker_node) && text.size() == marker_node.size() + identity_digits + 1)
    return node_folder{std::move(marker), std::string(text.substr(marker_node.size(), identity_digits))};
  if (!text.empty())
    return fail(errc::store_damaged,
                "the marker " + path.string() + " is not that of a node; name an empty folder");
  auto identity = to_hex(random.draw<identity_digits / 2>());
  CPNS_CHECK(write_whole(marker, std::string(marker_node) + identity + "\n", path));
  CPNS_CHECK(sync_folder(folder));
  return node_folder{std::move(marker), std::move(identity)};
}

}  // namespace cpns::storage
