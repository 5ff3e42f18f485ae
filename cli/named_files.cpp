#include "cli/named_files.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "base/private_file.hpp"
#include "cli/device_rows.hpp"
#include "cli/password.hpp"
#include "cli/stores.hpp"
#include "crypto/tls_check.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

class file_checks {
 public:
  explicit file_checks(const config::checked_file& in) : in_(in), found_{in.file, {}} {}

  void visit(const config::server_config& c) {
    tls(c.tls, crypto::tls_end::server);
    store(c.store);
    protector(c.protector);
    common(c);
  }
  void visit(const config::gateway_config& c) {
    tls(c.tls, crypto::tls_end::gateway);
    store(c.store);
    protector(c.protector);
    password(c.user_password_file);
    folders(c.plugin_dirs);
    written("control_socket", c.control_socket, S_IFSOCK);
    common(c);
  }
  void visit(const config::pne_config& c) {
    protector(c.protector);
    device_list(c.devices_file);
    folder("keys_dir", c.keys_dir);
    for (std::size_t i = 0; i < c.devices.size(); ++i) device(i, c.devices[i]);
    folders(c.plugin_dirs);
    written("control_socket", c.control_socket, S_IFSOCK);
    common(c);
  }
  config::diagnostics take() {
    found_.sort();
    return std::move(found_);
  }

 private:
  void bad(const std::string& key, errc code, const std::string& text) {
    found_.add(config::place_in(in_.places, key), code, "'" + key + "': " + text);
  }
  template <class T>
  void note(const std::string& key, const result<T>& r) {
    if (!r) bad(key, r.error().code, r.error().detail);
  }

  void tls(const config::tls_files& c, crypto::tls_end end) {
    const crypto::tls_files files{c.ca.string(), c.certificate.string(), c.key.string()};
    for (const auto& f : crypto::check_tls_files(files, end))
      bad(f.file == &crypto::tls_files::ca            ? "tls.ca"
          : f.file == &crypto::tls_files::certificate ? "tls.certificate"
                                                      : "tls.key",
          f.what.code, f.what.detail);
  }
  void protector(const config::protector_config& c) { note("protector.file", open_protector(c)); }
  void store(const config::store_config& c) {
    if (c.kind == config::store_kind::rocksdb) folder("store.path", c.path);
  }
  void password(const fs::path& file) {
    std::error_code gone;
    if (!file.empty() && fs::exists(file, gone))
      note("user_password_file", read_secret_line(file, password_max));
  }
  void device_list(const fs::path& file) {
    if (file.empty()) return;
    const auto rows = load_device_rows(file);
    note("devices_file", rows);
    if (!rows) return;
    for (const auto& row : rows->bad) {
      if (found_.all.size() > config::diagnostics::lines_max) return;
      bad("devices_file", errc::config_syntax, row.in(file.string()));
    }
  }
  void device(std::size_t i, const config::pne_device& d) {
    const auto at = "devices[" + std::to_string(i) + "]";
    if (const auto entity = entity_id::parse(d.entity))
      note(at + ".temporary_key_file", load_temporary_key(d.temporary_key_file, *entity));
    written(at + ".key_file", d.key_file, S_IFREG);
  }
  template <class Config>
  void common(const Config& c) {
    written("ready_file", c.ready_file, S_IFREG);
    written("log.file", c.log.file, 0);  // whose folder is made
  }

  /// A folder that is there, or that can be made.
  void folder(const std::string& key, const fs::path& p) {
    struct stat about {};
    if (p.empty()) return;
    for (auto made = p; made != made.parent_path(); made = made.parent_path()) made_.insert(made);
    if (::stat(p.c_str(), &about) == 0) {
      if (!S_ISDIR(about.st_mode)) bad(key, errc::config_file, p.string() + ": this is not a folder");
    } else if (errno != ENOENT) {
      bad(key, errc::config_file, p.string() + ": " + std::strerror(errno));
    }
  }
  /// Folders that the role only looks into.
  void folders(const std::vector<fs::path>& list) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto key = "plugin_dirs[" + std::to_string(i) + "]";
      std::error_code ec;
      if (!fs::is_directory(list[i], ec))
        bad(key, errc::config_file,
            list[i].string() + ": " + (ec ? ec.message() : std::string{"this is not a folder"}));
    }
  }
  /// What the role makes itself, of this kind (0: of any but a folder), in a folder that is there.
  void written(const std::string& key, const fs::path& p, mode_t kind) {
    if (p.empty()) return;
    struct stat about {};
    if (::stat(p.c_str(), &about) == 0) {
      const auto is = about.st_mode & S_IFMT;
      if (is == S_IFDIR || (kind != 0 && is != kind))
        bad(key, errc::config_file,
            p.string() + (is == S_IFDIR ? ": this is a folder" : ": something else is there") +
                "; name a path of its own");
    } else if (std::error_code ec;
               kind != 0 && !made_.contains(p.parent_path()) && !fs::is_directory(p.parent_path(), ec)) {
      bad(key, errc::config_file, p.string() + ": its folder is not there");
    }
  }

  const config::checked_file& in_;
  config::diagnostics found_;
  std::set<fs::path> made_;  ///< folders that the role makes
};

}  // namespace

config::diagnostics check_named_files(const config::checked_file& checked) {
  file_checks checks(checked);
  std::visit([&](const auto& c) { checks.visit(c); }, checked.config);
  return checks.take();
}

}  // namespace cpns::cli
