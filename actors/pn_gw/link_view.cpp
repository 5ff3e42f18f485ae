#include "actors/pn_gw/link_view.hpp"

#include <boost/json.hpp>

#include "base/text.hpp"

namespace cpns::actors {
namespace {

const char* user_word(const server_link_state& s) {
  if (s.user_refused) return "refused";
  return s.credentials ? "enrolled" : "not_enrolled";
}

boost::json::object as_json(const crypto::peer_certificate& c) {
  boost::json::object out{{"subject", c.subject}, {"uri", c.uri}, {"serial", c.serial}};
  if (c.not_after != time_never) out["not_after"] = rfc3339_text(c.not_after);
  return out;
}

}  // namespace

boost::json::object describe_link(const server_link_state& s, const node_follower& follower, time_point now) {
  boost::json::object out{{"state", s.exporter ? "connected" : "connecting"},
                          {"since", rfc3339_text(s.state_since)},
                          {"user", user_word(s)},
                          {"requests_in_flight", s.in_flight},
                          {"requests_waiting", s.requests.size() - s.in_flight},
                          {"draining", follower.drains()},
                          {"servers", follower.servers().view(now)}};
  if (!s.server.empty()) out["server"] = s.server;
  if (!s.certificate.serial.empty()) out["certificate"] = as_json(s.certificate);
  if (s.last_failure)
    out["last_error"] =
        boost::json::object{{"time", rfc3339_text(s.last_failure->at)}, {"text", s.last_failure->text}};
  return out;
}

}  // namespace cpns::actors
