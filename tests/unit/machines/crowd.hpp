#pragma once
// Strangers around a harness: each has an address and a link of its own, knows only the device's Entity ID,
// answers each DREQ at once, and reconnects after its link was closed or at random.

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include "tests/unit/machines/harness.hpp"
#include "tests/unit/machines/lies.hpp"

namespace cpns::test {

class crowd {
 public:
  crowd(harness& w, std::size_t size, lie kind) : w_(w), kind_(kind), random_(w.o.seed + 5000), all_(size) {
    w.elsewhere = [this](protocol::gw_link to, const bytes& message) { receive(to, message); };
  }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;

  /// Runs the harness with the strangers.
  void run(milliseconds span) {
    (void)run_until([] { return false; }, span);
  }
  bool run_until(const std::function<bool()>& done, milliseconds span) {
    for (const auto end = w_.now + span; w_.now < end;) {
      if (done()) return true;
      come();
      if (w_.run_until(done, milliseconds{50})) return true;
    }
    return done();
  }
  void leave() {
    for (auto& s : all_)
      if (s && w_.gw) w_.gw->handle_link_down(w_.now, *s);
    for (auto& s : all_) s.reset();
    w_.elsewhere = nullptr;
  }

  std::size_t floods = 0;  ///< number of strangers that answer a DREQ without end, with varying bytes
  std::set<protocol::nonce16> dreqs;  ///< gw_nonce of all DREQs that the gateway sent to them

 private:
  void come() {
    for (std::size_t i = 0; w_.gw && i < all_.size(); ++i) {
      if (i < floods && all_[i] && asked_) flood(*all_[i], 20);
      auto& mine = all_[i];
      if (mine && random_.below(60) == 0) {
        w_.gw->handle_link_down(w_.now, *mine);
        mine.reset();
      }
      if (mine || random_.below(3) == 0) continue;
      mine = protocol::gw_link{7, ++number_};
      protocol::discovery_request dreq;
      dreq.gw = w_.o.gw;
      dreq.gw_nonce = random_.draw<16>();
      if (random_.below(2) == 0) dreq.issuer_nonce = w_.issuer_nonce();
      dreq.suites = {protocol::suite_symmetric, protocol::suite_x25519};
      w_.gw->handle_detected(w_.now, *mine, encode(dreq), encode(answer(dreq)),
                             {"air", "tcp:10.0.0." + std::to_string(i) + ":" + std::to_string(number_)});
    }
  }
  void receive(protocol::gw_link to, const bytes& message) {
    const auto it = std::find(all_.begin(), all_.end(), std::optional{to});
    if (it == all_.end()) return;
    if (message.empty()) return it->reset();
    const auto decoded = protocol::decode_radio(message);
    const auto* dreq = decoded ? std::get_if<protocol::discovery_request>(&*decoded) : nullptr;
    if (dreq == nullptr) return;
    dreqs.insert(dreq->gw_nonce);
    asked_ = *dreq;
    flood(to, static_cast<std::size_t>(it - all_.begin()) < floods ? 300 : 1);
  }
  void flood(protocol::gw_link from, int answers) {
    for (int i = 0; i < answers; ++i) w_.gw->handle_frame(w_.now, from, encode(answer(*asked_)));
  }
  protocol::discovery_response answer(const protocol::discovery_request& dreq) {
    return forged(dreq, w_.entity, kind_, w_.gw->own_epoch(), random_);
  }

  harness& w_;
  lie kind_;
  seeded_entropy random_;
  std::vector<std::optional<protocol::gw_link>> all_;
  std::optional<protocol::discovery_request> asked_;  ///< the newest one
  std::uint64_t number_ = 0;
};

}  // namespace cpns::test
