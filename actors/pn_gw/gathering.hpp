#pragma once
// One request to several live devices, answered with all of their descriptions.

#include <boost/json/array.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "actors/pn_gw/actors.hpp"

namespace cpns::actors {

/// Requests gw_describe from all of `devices` for `self`; answers after the last reply with `others` and the replies. A
/// device that does not reply within 5 s is left out.
inline caf::result<gw_view> gather(supervisor_actor::pointer self, const std::vector<device_actor>& devices,
                                   boost::json::array others) {
  auto promise = self->make_response_promise<gw_view>();
  if (devices.empty()) {
    promise.deliver(gw_view{std::move(others)});
    return promise;
  }
  struct gathering {
    caf::typed_response_promise<gw_view> promise;
    boost::json::array out;
    std::size_t missing;
    void one_less() {
      if (--missing == 0) promise.deliver(gw_view{std::move(out)});
    }
  };
  auto g = std::make_shared<gathering>(gathering{promise, std::move(others), devices.size()});
  for (const auto& d : devices)
    self->request(d, std::chrono::seconds(5), gw_describe{})
        .then([g](gw_view& v) { g->out.push_back(std::move(v.json)), g->one_less(); },
              [g](const caf::error&) { g->one_less(); });
  return promise;
}

}  // namespace cpns::actors
