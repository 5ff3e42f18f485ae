#include "cli/live_rewrap.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <memory>
#include <system_error>
#include <utility>

#include "api/body.hpp"
#include "base/text.hpp"
#include "cli/rewrap_report.hpp"
#include "cli/role_client.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t path_max = 4096;  // bytes

bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code ec;
  return a == b || fs::equivalent(a, b, ec);
}

api::checked<fs::path> allowed_file(const live_rewrap& with, const std::string& field,
                                    const std::string& text) {
  if (has_controls(text))
    return api::refuse(400, "config-usage", "'" + field + "' must not have control characters", field);
  const auto named = (with.folder / text).lexically_normal();
  if (!named.has_filename() || !same_file(named.parent_path(), with.folder))
    return api::refuse(400, "config-usage",
                       "'" + field + "' must be a file in " + with.folder.string() +
                           " (protector.new_keys), because a client may name no other file of this machine; "
                           "put the key there, or stop the role and run `cpns store rewrap`",
                       field);
  auto file = with.folder / named.filename();
  std::error_code ec;
  if (fs::is_symlink(fs::symlink_status(file, ec)))
    return api::refuse(400, "config-usage",
                       file.string() + " is a symbolic link, and may lead to another file of this machine",
                       field);
  const bool used = std::any_of(with.taken.begin(), with.taken.end(),
                                [&file](const fs::path& other) { return same_file(file, other); });
  if (used)
    return api::refuse(400, "config-usage",
                       file.string() + " serves another purpose in the configuration; name a file of its own",
                       field);
  return file;
}

api::checked<storage::new_key> wanted_by(const live_rewrap& with, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"new_file", "new_passphrase_file", "in_place"}));
  storage::new_key out;
  CPNS_TRY(const auto file, body.optional_text("new_file", path_max));
  CPNS_TRY(const auto passphrase, body.optional_text("new_passphrase_file", path_max));
  CPNS_TRY(out.in_place, body.boolean("in_place", false));
  if (static_cast<int>(file.has_value()) + static_cast<int>(passphrase.has_value()) +
          static_cast<int>(out.in_place) !=
      1)
    return api::refuse(400, "config-usage",
                       "name one new key: 'new_file', 'new_passphrase_file', or 'in_place': true");
  if (file) {
    CPNS_TRY(out.new_file, allowed_file(with, "new_file", *file));
  }
  if (passphrase) {
    CPNS_TRY(out.new_passphrase_file, allowed_file(with, "new_passphrase_file", *passphrase));
  }
  return out;
}

std::string unreachable(const fs::path& file, const std::error_code& why) {
  auto out = file.string() + ": " + why.message();
  if (why == std::errc::permission_denied)
    out += "; the user of the role may not look into " + file.parent_path().string() +
           ": set protector.new_keys to a folder that belongs to this user, and restart the role";
  return out;
}

/// A file of the client that cannot be used is a fault of the request, not one of the store.
api::checked<void> can_be_read(const storage::new_key& wanted) {
  const bool passphrase = !wanted.new_passphrase_file.empty();
  const auto& file = passphrase ? wanted.new_passphrase_file : wanted.new_file;
  if (wanted.in_place) return {};
  std::error_code ec;
  const bool there = fs::exists(fs::symlink_status(file, ec));
  // A folder that is closed to the role may have the file, so it must not look like one to make.
  if (ec && ec != std::errc::no_such_file_or_directory)
    return api::refuse(422, "config-file", unreachable(file, ec),
                       passphrase ? "new_passphrase_file" : "new_file");
  if (!passphrase && !there) return {};
  const auto kind = passphrase ? storage::protector_kind::passphrase : storage::protector_kind::file;
  if (const auto opened = storage::open_protector({kind, file}); !opened)
    return api::refuse(422, "config-file", opened.error().detail,
                       passphrase ? "new_passphrase_file" : "new_file");
  return {};
}

api::outcome rewrap_now(const live_rewrap& with, const api::request& r) {
  CPNS_TRY(const auto wanted, wanted_by(with, r));
  CPNS_CHECK(can_be_read(wanted));
  CPNS_TRY(auto done, with.keys->change(wanted));
  return api::json_response(
      json_of(outcome_of_change(with.role, with.place, std::move(done)), wanted.in_place));
}

boost::json::value key_to_be(const live_rewrap& with, const api::request& r) {
  const auto wanted = wanted_by(with, r);
  if (!wanted) return nullptr;
  if (wanted->in_place) return boost::json::object{{"in_place", true}};
  return boost::json::object{
      {wanted->new_file.empty() ? "new_passphrase_file" : "new_file",
       (wanted->new_file.empty() ? wanted->new_passphrase_file : wanted->new_file).string()}};
}

}  // namespace

api::route rewrap_route(live_rewrap with) {
  const auto shared = std::make_shared<const live_rewrap>(std::move(with));
  return {.verb = api::verb::post,
          .path = "/v1/store/rewrap",
          .needs = api::level::admin,
          .handle = [shared](const api::request& r) { return rewrap_now(*shared, r); },
          .action = "store-rewrap",
          .describe = [shared](const api::request&) -> boost::json::value {
            return state_of(shared->keys->current());
          },
          .foretell = [shared](const api::request& r,
                               const boost::json::value&) { return key_to_be(*shared, r); }};
}

tl::expected<rewrap_outcome, api::problem> rewrap_running(api::client& role, const rewrap_options& o,
                                                          bool remote) {
  boost::json::object body;
  const auto named = [remote](const fs::path& p) {
    return remote ? p.string() : fs::absolute(p).lexically_normal().string();
  };
  if (!o.new_file.empty()) body["new_file"] = named(o.new_file);
  if (!o.new_passphrase_file.empty()) body["new_passphrase_file"] = named(o.new_passphrase_file);
  if (o.in_place) body["in_place"] = true;
  CPNS_TRY(const auto answer, ask_role(role, api::verb::post, "/v1/store/rewrap", body));
  CPNS_TRY(auto out, rewrap_outcome_of(answer));
  return out;
}

}  // namespace cpns::cli
