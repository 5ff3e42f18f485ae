// Whether a gateway has proven the password of its user.

#include <boost/json.hpp>

#include "cli/doctor/doctor.hpp"
#include "cli/role_client.hpp"
#include "cli/stores.hpp"
#include "crypto/suite.hpp"
#include "storage/rocksdb_store.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::cli::doctor {
namespace {

constexpr const char* advice =
    "; write the right password to user_password_file, and look whether `cpns user list` of "
    "the server has the user";

line enrolled(const std::string& user) {
  return {state_t::ok, "the gateway is enrolled for " + user +
                           ": what follows from the password is stored, and "
                           "user_password_file is not needed any more"};
}

/// What the running gateway says about its user.
line asked(const config::gateway_config& c) {
  const auto unknown = [](const std::string& why) {
    return line{state_t::warning, "the running gateway does not say whether it is enrolled: " + why +
                                      "; look for enrolled, not-enrolled and user-refused in its log"};
  };
  auto role = connect_role(c.api);
  if (!role) return unknown(role.error().detail);
  const auto answer = ask_role(*role, api::verb::get, "/v1/server");
  if (!answer) return unknown(answer.error().detail);
  const auto& now = answer->as_object();
  const auto user = text_of(now, "user");
  if (user == "enrolled") return enrolled(c.user);
  if (user == "refused") return {state_t::error, "the server rejects the password of " + c.user + advice};
  const auto* last = now.if_contains("last_error");
  return {state_t::error,
          "the gateway is not enrolled for " + c.user + ": no server has accepted the password yet" +
              (last == nullptr ? std::string{} : " (" + text_of(last->as_object(), "text") + ")") +
              "; keep user_password_file until the log has enrolled, and look at the lines about "
              "the server"};
}

/// What the store of a stopped gateway has. Where it cannot be opened, the lines about the store say why.
result<bool> has_credentials(const config::gateway_config& c) {
  CPNS_TRY(const auto under, storage::open_rocksdb_store_for_reading(c.store.path));
  CPNS_TRY(const auto key, open_protector(c.protector));
  CPNS_TRY(const auto sealed, storage::sealed_store::open(*under, *key, crypto::system_entropy()));
  return sealed->has(storage::table::credentials, as_bytes(c.user));
}

}  // namespace

lines check_enrolment(const subject& s) {
  const auto& c = std::get<config::gateway_config>(s.file.config);
  if (s.running()) return {asked(c)};
  const auto stored = c.store.kind == config::store_kind::memory ? result<bool>{false} : has_credentials(c);
  if (stored && *stored) return {enrolled(c.user)};
  if (!stored && stored.error() != errc::state_unknown)
    return {{state_t::warning,
             "it is not known whether the gateway is enrolled, because its store cannot be read; "
             "the lines about the store give the reason"}};
  if (c.user_password_file.empty())
    return {{state_t::error,
             "the gateway is not enrolled for " + c.user +
                 ", and user_password_file is not set; set it to a file with the user's password"}};
  return {{state_t::ok, "the gateway is not enrolled yet: it proves the password in " +
                            c.user_password_file.string() +
                            " when it reaches a server; keep the file until the log has enrolled"}};
}

}  // namespace cpns::cli::doctor
