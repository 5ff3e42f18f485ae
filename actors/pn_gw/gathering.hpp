#pragma once
// What all live devices say of themselves.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/pn_gw/actors.hpp"

namespace cpns::actors {

/// Asks all of `devices` for `self` and answers when the last one did: `first`, then what they said.
inline caf::result<std::vector<std::string>> gather(supervisor_actor::pointer self,
                                                    const std::vector<device_actor>& devices,
                                                    std::vector<std::string> first) {
  auto promise = self->make_response_promise<std::vector<std::string>>();
  if (devices.empty()) {
    promise.deliver(std::move(first));
    return promise;
  }
  struct gathering {
    caf::typed_response_promise<std::vector<std::string>> promise;
    std::vector<std::string> out;
    std::size_t missing;
    void one_less() {
      if (--missing == 0) promise.deliver(std::move(out));
    }
  };
  auto g = std::make_shared<gathering>(gathering{promise, std::move(first), devices.size()});
  for (const auto& d : devices)
    self->request(d, std::chrono::seconds(5), gw_describe{})
        .then([g](std::string& text) { g->out.push_back(std::move(text)), g->one_less(); },
              [g](const caf::error&) { g->one_less(); });
  return promise;
}

}  // namespace cpns::actors
