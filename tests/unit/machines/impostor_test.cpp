// A stranger in range claims the Entity ID of a device without a key, faster than the device itself.
#include <gtest/gtest.h>

#include "tests/unit/machines/harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;

/// Answers every DREQ at once with random tags and reconnects whenever its link is closed.
class impostor {
 public:
  explicit impostor(harness& w) : w_(w) {
    w.elsewhere = [this](gw_link to, const bytes& message) {
      if (!link_ || to != *link_) return;
      if (message.empty()) return link_.reset();
      const auto asked = decode_radio(message);
      if (const auto* dreq = std::get_if<discovery_request>(&*asked))
        w_.gw->handle_frame(w_.now, *link_, encode(answer(*dreq)));
    };
  }
  void come_if_away() {
    if (link_) return;
    link_ = gw_link{7, ++number_};
    discovery_request dreq;
    dreq.gw = w_.o.gw;
    dreq.gw_nonce = w_.random.draw<16>();
    dreq.issuer_nonce = w_.server.issuer_nonce(w_.o.gw, w_.now);
    dreq.suites = {suite_x25519};
    w_.gw->handle_detected(w_.now, *link_, encode(dreq), encode(answer(dreq)));
  }
  [[nodiscard]] std::uint64_t visits() const { return number_; }

 private:
  discovery_response answer(const discovery_request& dreq) {
    discovery_response drsp;
    drsp.gw_nonce_echo = first<4>(dreq.gw_nonce);
    drsp.entity = w_.entity;
    drsp.pne_nonce = w_.random.draw<16>();
    drsp.pne_share = crypto::openssl_suite().x25519_generate(w_.random).public_key;
    if (dreq.issuer_nonce) drsp.presence = tag16{w_.random.draw<16>()};
    return drsp;
  }

  harness& w_;
  std::optional<gw_link> link_;
  std::uint64_t number_ = 0;
};

TEST(impostor, does_not_keep_the_device_from_its_first_key) {
  harness w;
  impostor other{w};
  const auto run = [&](seconds span) {
    for (auto end = w.now + span; w.now < end && !w.keyed();) {
      other.come_if_away();
      w.run(100ms);
    }
  };
  run(20s);
  ASSERT_GE(w.server.presence_failed, 2);
  w.connect();
  run(5min);
  EXPECT_TRUE(w.keyed());
  EXPECT_GE(other.visits(), 3u);
  w.run(2s);
  EXPECT_EQ(w.disagreement(), "");
}

}  // namespace
}  // namespace cpns::test
