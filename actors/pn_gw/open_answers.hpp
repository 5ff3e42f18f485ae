#pragma once
// The persons who wait for the outcome of their commands to one device.

#include <caf/typed_response_promise.hpp>
#include <string>
#include <utility>
#include <vector>

namespace cpns::actors {

/// A command is answered when its write is durable, or when the server has decided: until then its promise is here, and each way in
/// which the device can end has to answer it. An answer: "", or why it was not done. Used by the device's actor alone.
class open_answers {
 public:
  using promise = caf::typed_response_promise<std::string>;

  /// `released`: of a quarantined device, which the server decides.
  void decision(const promise& p, bool released) { (released ? releases_ : decisions_).push_back(p); }
  void forgetting(const promise& p) { forgets_.push_back(p); }

  [[nodiscard]] bool none() const { return decisions_.empty() && releases_.empty() && forgets_.empty(); }
  [[nodiscard]] bool forgets() const { return !forgets_.empty(); }

  void decided(const std::string& text) { deliver(decisions_, text); }
  void released(const std::string& text) { deliver(releases_, text); }
  void forgotten(const std::string& text) { deliver(forgets_, text); }

 private:
  using promises = std::vector<promise>;
  static void deliver(promises& to, const std::string& text) {
    for (auto& p : std::exchange(to, {})) p.deliver(text);
  }
  promises decisions_, releases_, forgets_;
};

}  // namespace cpns::actors
