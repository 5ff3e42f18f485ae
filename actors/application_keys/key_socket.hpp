#pragma once
// The key socket of a role: application keys over HTTP, on a Unix socket of its own.

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "actors/application_keys/consumers.hpp"
#include "actors/application_keys/key_changes.hpp"
#include "actors/application_keys/offered_keys.hpp"
#include "api/http_server.hpp"
#include "base/result.hpp"
#include "config/schema.hpp"

namespace cpns::actors {

/// An administrator of a role may not read keys, and a reader of keys may not administer: so the routes of the keys are on no other
/// listener, and this one has no other routes. Has its own threads.
class key_socket {
 public:
  /// `component`: of its log lines. `offered`, `changes` and `programs` outlive the object. config_range: a user or group does not
  /// exist; other errors of api::http_server::start.
  static result<std::unique_ptr<key_socket>> start(const config::application_keys_config& c,
                                                   const std::string& component, const offered_keys& offered,
                                                   key_changes& changes, consumers& programs);
  /// Waits for requests that run: for a page of the store at most.
  ~key_socket() { *ending_ = true; }
  key_socket(const key_socket&) = delete;
  key_socket& operator=(const key_socket&) = delete;

 private:
  key_socket(std::unique_ptr<api::http_server> s, std::shared_ptr<std::atomic<bool>> ending)
      : ending_(std::move(ending)), server_(std::move(s)) {}
  const std::shared_ptr<std::atomic<bool>> ending_;
  std::unique_ptr<api::http_server> server_;
};

}  // namespace cpns::actors
