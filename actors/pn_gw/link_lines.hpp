#pragma once
// The log lines of the server link about its connection and its user, with their texts for people.

#include <filesystem>
#include <string>

#include "base/clock.hpp"
#include "base/ids.hpp"

namespace cpns::actors::link_lines {

/// After an attempt to enrol that ended without a verdict of the server.
inline constexpr const char* keep_the_file =
    "keep the password file; no key can be assigned until the server accepts the password";

void connected(const std::string& server);
/// `proven`: the gateway has credentials that a server accepted.
void disconnected(bool planned, const std::string& why, bool proven);
/// `another`: it knows a server to go to.
void asked_to_leave(const std::string& server, milliseconds within, bool another);
void moving(const std::string& server);
void overloaded(const std::string& server, const std::string& why);
void enrolled();
/// `what`: the consequence, and what follows.
void not_enrolled(const std::string& why, const char* what);
void credentials_not_written(const std::string& why);
void user_refused(const user_id& user, const std::filesystem::path& password_file);

}  // namespace cpns::actors::link_lines
