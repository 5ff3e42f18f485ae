#include "small_radio.hpp"

namespace {

class faulty final : public bad::radio {
 public:
  using radio::radio;
  // Does not report the end of the first link that the central disconnects to the peripheral.
  bool has_room() override { return links_.size() + (done_ ? 1 : 0) < max_links; }
  void disconnect(std::uint64_t l) override {
    std::lock_guard lock{bad::air().guard};
    const auto it = links_.find(l);
    if (it == links_.end()) return;
    if (role_ == CPNS_ROLE_CENTRAL && !std::exchange(done_, true))
      hushed_.insert({it->second.peer, it->second.peer_link});
    cut(l);
  }
  void tell_down(std::uint64_t l) override {
    {
      std::lock_guard lock{bad::air().guard};
      if (hushed_.erase({this, l}) != 0) return;
    }
    radio::tell_down(l);
  }
  static inline bool done_ = false;
  static inline std::set<std::pair<bad::radio*, std::uint64_t>> hushed_;
};

}  // namespace

BAD_PLUGIN(faulty);
