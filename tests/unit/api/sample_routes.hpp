#pragma once
// Routes for tests of the HTTP server, and a change log that they can read.

#include <boost/json.hpp>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/body.hpp"
#include "api/change_log.hpp"
#include "api/routes.hpp"

namespace cpns::api {

inline route get(std::string path, handler h) {
  return {.verb = verb::get, .path = std::move(path), .handle = std::move(h)};
}

inline route hello(std::string path = "/v1/hello") {
  return get(std::move(path), [](const request&) -> outcome {
    return json_response(boost::json::object{{"hello", "you"}});
  });
}

/// Takes a body as it comes, and answers with its size.
inline route upload(std::uint64_t max = 1 << 20) {
  return {.verb = verb::put,
          .path = "/v1/upload",
          .handle_stream = [](const request&, body_source& body) -> outcome {
            std::uint64_t n = 0;
            bytes part(100);
            for (;;) {
              CPNS_TRY(const auto got, body.read(part));
              if (got == 0) return json_response(boost::json::object{{"bytes", n}});
              n += got;
            }
          },
          .body_max = max,
          .action = "upload"};
}

class recorded_changes final : public change_log {
 public:
  std::vector<std::string> lines;
  bool full = false;
  result<number> begin(const change& c) override {
    const std::lock_guard lock{guard_};
    if (full) return fail(errc::store_full, "audit.jsonl");
    lines.push_back("intent " + c.action + " " + c.object + " " + boost::json::serialize(c.wanted));
    return lines.size();
  }
  void finish(number, const problem* refused, const boost::json::value&) override {
    const std::lock_guard lock{guard_};
    lines.push_back("outcome " + (refused == nullptr ? "done" : refused->code + ": " + refused->detail));
  }
  void refused(const change& c, const problem& why) override {
    const std::lock_guard lock{guard_};
    lines.push_back("refused " + c.action + " " + why.code + ": " + why.detail);
  }

 private:
  std::mutex guard_;
};

inline route set_password() {
  return {.verb = verb::put,
          .path = "/v1/users/{user}/password",
          .needs = level::admin,
          .handle = [](const request& r) -> outcome {
            const auto b = json_body::read(r, {"password"});
            if (!b) return tl::unexpected<problem>(b.error());
            if (r.at("user") == "nobody") return refuse(404, "state-unknown", "no such user");
            return empty_response();
          },
          .action = "user-password",
          .object = "user",
          .is_name = [](const std::string& name) { return name.size() <= 6; },
          .secret_members = {"password"}};
}

inline route_table with(std::vector<route> all) {
  route_table t;
  t.add(std::move(all));
  return t;
}

}  // namespace cpns::api
