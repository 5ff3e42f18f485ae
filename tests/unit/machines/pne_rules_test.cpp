// "What the PNE accepts" of docs/protocol.md, rule by rule, against a gateway written here from the key schedule.
#include <gtest/gtest.h>

#include "tests/unit/machines/harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;
const auto& s = crypto::openssl_suite();

struct hand_gateway {
  gateway_id gw{{4, 2}};
  entity_id entity = *entity_id::parse("urn:dev:mac:0024befffe804ff1");
  secret32 tk_prime = crypto::derive_temporary_key(s, entity, as_bytes("factory"));
  seeded_entropy random{77};
  time_point now{milliseconds{1'790'000'000'000}};
  pne_record disk;
  std::optional<pne_machine> pne;
  std::vector<bytes> sent;
  std::vector<pne_event> events;
  std::vector<epoch> retired;  ///< as the writes say
  int persists = 0;
  bool disk_full = false;

  explicit hand_gateway(pne_settings st = {}) {
    st.entity = entity;
    st.temporary_key = tk_prime;
    pne.emplace(std::move(st), disk, s, random, now);
  }
  void pump() {
    while (auto out = pne->poll_output()) {
      if (auto* p = std::get_if<pne_persist>(&*out)) {
        if (disk_full) {
          pne->handle_persist_failed(now);
          continue;
        }
        ++persists;
        if (p->retired) {
          retired.push_back(p->retired->which);
          EXPECT_TRUE(p->retired->eukey == key_of(p->retired->which));
        }
        disk = p->record;
      } else if (auto* m = std::get_if<pne_send>(&*out)) {
        sent.push_back(m->message);
      } else {
        events.push_back(std::get<pne_event>(*out));
      }
    }
  }
  /// Delivers a message; returns the last answer, if any.
  std::optional<bytes> feed(const bytes& m, pne_link on = {}) {
    sent.clear();
    pne->handle_frame(now, on, m);
    pump();
    return sent.empty() ? std::nullopt : std::optional{sent.back()};
  }
  discovery_request dreq(bool with_nonce = false, std::vector<std::uint8_t> suites = {1, 2}) {
    discovery_request m;
    m.gw = gw;
    m.gw_nonce = random.draw<16>();
    if (with_nonce) m.issuer_nonce = random.draw<16>();
    m.suites = std::move(suites);
    return m;
  }
  struct exchange {
    bytes dreq_bytes, drsp_bytes;
    discovery_response drsp;
    crypto::digest th1{};
  };
  exchange ask(bool with_nonce = false) {
    now += 2s;
    exchange x;
    x.dreq_bytes = encode(dreq(with_nonce));
    x.drsp_bytes = feed(x.dreq_bytes).value();
    x.drsp = std::get<discovery_response>(*decode_radio(x.drsp_bytes));
    x.th1 = crypto::transcript1(s, x.dreq_bytes, encode_first_eight(x.drsp));
    return x;
  }
  static secret32 key_of(epoch e) {
    seeded_entropy r{e.value()};
    return r.draw_secret<32>();
  }
  bytes kdel(const exchange& x, epoch which, bool chained) {
    key_delivery m;
    m.which = which;
    m.chained = chained;
    const auto pair = s.x25519_generate(random);
    m.gw_share = pair.public_key;
    const auto z = *s.x25519(pair.private_key, *x.drsp.pne_share);
    const auto c =
        chained ? crypto::derive_chain(s, key_of(*x.drsp.highest), gw, which.generation()) : secret32{};
    const auto th2 =
        crypto::transcript2(s, x.th1, x.drsp.possession, x.drsp.presence, which, chained, m.gw_share);
    const auto tkg = crypto::derive_gateway_temporary_key(s, tk_prime, gw, which.generation());
    const auto sealing = crypto::derive_delivery_key(s, th2, tkg, z, c);
    m.sealed = s.gcm_seal(sealing.key, sealing.nonce, delivery_aad(th2),
                          encode(delivery_content{key_of(which), {}, 60}).expose());
    return encode(m);
  }
  bytes kret(const exchange& x, epoch which) {
    return encode(key_retire{which, crypto::retire_tag(s, key_of(which), x.th1)});
  }
  bool deliver(epoch which, bool chained) {
    const auto x = ask();
    return is_kcnf(feed(kdel(x, which, chained)));
  }
  static bool is_kcnf(const std::optional<bytes>& m) {
    return m && std::holds_alternative<key_confirmation>(*decode_radio(*m));
  }
  static bool is_drsp(const std::optional<bytes>& m) {
    return m && std::holds_alternative<discovery_response>(*decode_radio(*m));
  }
  static std::optional<failure::reason_t> hint(const std::optional<bytes>& m) {
    if (!m) return std::nullopt;
    const auto d = decode_radio(*m);
    const auto* f = std::get_if<failure>(&*d);
    return f != nullptr ? std::optional{f->reason} : std::nullopt;
  }
};

TEST(pne_rules, presence_is_sent_exactly_with_an_issuer_nonce_and_verifies) {
  hand_gateway g;
  EXPECT_FALSE(g.ask(false).drsp.presence);
  const auto x = g.ask(true);
  ASSERT_TRUE(x.drsp.presence);
  EXPECT_EQ(*x.drsp.presence,
            crypto::presence_tag(s, crypto::derive_presence_key(s, g.tk_prime), x.th1, std::nullopt));
}

TEST(pne_rules, a_repeated_dreq_gets_the_same_bytes) {
  hand_gateway g;
  const auto x = g.ask();
  g.now += 1s;
  EXPECT_EQ(g.feed(x.dreq_bytes), x.drsp_bytes);
}

TEST(pne_rules, one_dreq_per_second_is_answered_with_a_burst_of_three) {
  hand_gateway g;
  int answered = 0;
  for (int i = 0; i < 10; ++i) {
    const auto m = g.feed(encode(g.dreq()));
    answered += m && std::holds_alternative<discovery_response>(*decode_radio(*m)) ? 1 : 0;
  }
  EXPECT_EQ(answered, 3);
  g.now += 1s;
  EXPECT_TRUE(g.feed(encode(g.dreq())));
  EXPECT_EQ(g.hint(g.feed(encode(g.dreq()))), failure::reason_t::busy);
  EXPECT_FALSE(g.feed(encode(g.dreq()))) << "hints are bounded too";
}

TEST(pne_rules, a_repeated_dreq_does_not_count_against_the_rate) {
  hand_gateway g;
  const auto x = g.ask();
  g.now += 5s;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(g.feed(x.dreq_bytes), x.drsp_bytes);
  EXPECT_TRUE(hand_gateway::is_drsp(g.feed(encode(g.dreq()))));
}

TEST(pne_rules, a_stranger_on_another_link_uses_neither_the_rate_nor_the_contexts_of_the_holder) {
  hand_gateway g;
  const auto x = g.ask();
  for (std::uint64_t link = 1; link <= 40; ++link)
    for (int i = 0; i < 10; ++i) g.feed(encode(g.dreq()), {0, link});
  EXPECT_TRUE(hand_gateway::is_drsp(g.feed(encode(g.dreq()))));
  ASSERT_TRUE(g.deliver(epoch{1, 0}, false));
  const auto y = g.ask();
  for (std::uint64_t link = 1; link <= 40; ++link) g.feed(encode(g.dreq()), {0, link});
  EXPECT_TRUE(g.is_kcnf(g.feed(g.kdel(y, epoch{1, 1}, true)))) << "the holder's link is never evicted";
  EXPECT_FALSE(g.is_kcnf(g.feed(g.kdel(x, epoch{1, 2}, true)))) << "its older context is for one use";
}

TEST(pne_rules, contexts_are_wiped_when_their_link_goes_down) {
  hand_gateway g;
  const auto x = g.ask();
  g.pne->handle_link_down(g.now, {});
  EXPECT_EQ(g.pne->state(), pne_state::unkeyed);
  EXPECT_EQ(g.hint(g.feed(g.kdel(x, epoch{1, 0}, false))), failure::reason_t::no_context);
}

TEST(pne_rules, a_delivery_is_stored_before_it_is_confirmed_and_a_repetition_gets_the_same_kcnf) {
  hand_gateway g;
  const auto x = g.ask();
  const auto m = g.kdel(x, epoch{1, 0}, false);
  const auto kcnf = g.feed(m);
  ASSERT_TRUE(g.is_kcnf(kcnf));
  EXPECT_EQ(g.disk.pending->which, (epoch{1, 0}));
  EXPECT_EQ(g.feed(m), kcnf);
  EXPECT_EQ(g.persists, 1);
  EXPECT_EQ(g.pne->state(), pne_state::pending);
  EXPECT_FALSE(g.is_kcnf(g.feed(g.kdel(x, epoch{1, 1}, false)))) << "a context is for one use";
}

TEST(pne_rules, a_bad_frame_never_ends_an_exchange) {
  hand_gateway g;
  const auto x = g.ask();
  const auto good = g.kdel(x, epoch{1, 0}, false);
  for (std::size_t i = 0; i < 6; ++i) {
    auto bad = good;
    bad[bad.size() - 1 - i] ^= 1;
    EXPECT_FALSE(g.is_kcnf(g.feed(bad)));
    g.now += 300ms;
  }
  EXPECT_FALSE(g.is_kcnf(g.feed(bytes{0xff})));
  EXPECT_TRUE(g.is_kcnf(g.feed(good)));
}

TEST(pne_rules, a_context_lives_60_seconds) {
  hand_gateway g;
  const auto x = g.ask();
  EXPECT_EQ(g.pne->next_deadline(), g.now + 60s);
  g.now += 60s;
  EXPECT_EQ(g.hint(g.feed(g.kdel(x, epoch{1, 0}, false))), failure::reason_t::no_context);
  EXPECT_EQ(g.pne->state(), pne_state::unkeyed);
  EXPECT_EQ(g.pne->next_deadline(), time_never);
}

TEST(pne_rules, the_oldest_of_three_contexts_is_evicted) {
  hand_gateway g;
  const auto a = g.ask(), b = g.ask(), c = g.ask();
  EXPECT_FALSE(g.is_kcnf(g.feed(g.kdel(a, epoch{1, 0}, false))));
  EXPECT_TRUE(g.is_kcnf(g.feed(g.kdel(b, epoch{1, 1}, false))));
  EXPECT_EQ(g.pne->state(), pne_state::pending);
  EXPECT_FALSE(g.is_kcnf(g.feed(g.kdel(c, epoch{1, 2}, false))))
      << "keyed since: it would have to be chained";
}

TEST(pne_rules, the_epoch_must_exceed_every_stored_one_by_at_most_256_generations) {
  hand_gateway g;
  ASSERT_TRUE(g.deliver(epoch{7, 5}, false));
  EXPECT_FALSE(g.deliver(epoch{7, 5}, true));
  EXPECT_FALSE(g.deliver(epoch{7, 4}, true));
  EXPECT_FALSE(g.deliver(epoch{7 + 257, 0}, true));
  EXPECT_TRUE(g.deliver(epoch{7 + 256, 0}, true));
}

TEST(pne_rules, a_keyed_pne_accepts_an_unchained_delivery_only_of_a_new_generation_and_in_the_window) {
  hand_gateway g;
  ASSERT_TRUE(g.deliver(epoch{1, 0}, false));
  EXPECT_FALSE(g.deliver(epoch{1, 1}, false));
  EXPECT_TRUE(g.deliver(epoch{2, 0}, false));
  g.now += 10min;
  const auto x = g.ask();
  EXPECT_EQ(g.hint(g.feed(g.kdel(x, epoch{3, 0}, false))), failure::reason_t::window_closed);
  g.pne->handle_button(g.now);
  EXPECT_TRUE(g.deliver(epoch{3, 0}, false));
  g.now += 11min;
  g.pne->handle_wake(g.now);
  EXPECT_TRUE(g.deliver(epoch{4, 0}, false));
}

TEST(pne_rules, a_strict_keyed_pne_never_accepts_an_unchained_delivery) {
  pne_settings st;
  st.strict_chain = true;
  hand_gateway g{std::move(st)};
  ASSERT_TRUE(g.deliver(epoch{1, 0}, false));
  EXPECT_FALSE(g.deliver(epoch{2, 0}, false));
  EXPECT_TRUE(g.deliver(epoch{2, 0}, true));
}

TEST(pne_rules, a_delivery_makes_the_pending_key_current_and_kret_erases_the_older_key) {
  hand_gateway g;
  ASSERT_TRUE(g.deliver(epoch{1, 0}, false));
  const auto x = g.ask();
  EXPECT_EQ(x.drsp.highest, (epoch{1, 0}));
  EXPECT_EQ(*x.drsp.possession, crypto::possession_tag(s, g.key_of(epoch{1, 0}), x.th1));
  ASSERT_TRUE(g.is_kcnf(g.feed(g.kdel(x, epoch{1, 1}, true))));
  EXPECT_EQ(g.disk.current->which, (epoch{1, 0}));
  EXPECT_EQ(g.disk.pending->which, (epoch{1, 1}));
  EXPECT_TRUE(g.retired.empty()) << "both keys are in the slots";
  auto wrong = g.kret(x, epoch{1, 1});
  wrong.back() ^= 1;
  g.feed(wrong);
  EXPECT_TRUE(g.disk.pending);
  g.feed(g.kret(x, epoch{1, 1}));
  EXPECT_FALSE(g.disk.pending);
  EXPECT_EQ(g.disk.current->which, (epoch{1, 1}));
  EXPECT_EQ(g.pne->state(), pne_state::keyed);
  EXPECT_EQ(g.retired, std::vector{(epoch{1, 0})});
  ASSERT_TRUE(g.deliver(epoch{1, 2}, true));  // whose KRET is lost
  EXPECT_EQ(g.retired.size(), 1U);
  ASSERT_TRUE(g.deliver(epoch{1, 3}, true));
  EXPECT_EQ(g.retired, (std::vector{epoch{1, 0}, epoch{1, 1}}));
  g.pne->handle_factory_reset(g.now);
  g.pump();
  EXPECT_EQ(g.retired.size(), 2U) << "nobody may use a key after a reset";
}

TEST(pne_rules, a_failed_write_restores_the_former_record_and_nothing_is_confirmed) {
  hand_gateway g;
  const auto x = g.ask();
  g.disk_full = true;
  EXPECT_FALSE(g.is_kcnf(g.feed(g.kdel(x, epoch{1, 0}, false))));
  EXPECT_EQ(g.pne->state(), pne_state::unkeyed);
  EXPECT_FALSE(g.pne->current_epoch());
  g.disk_full = false;
  EXPECT_TRUE(g.deliver(epoch{1, 1}, false));
}

TEST(pne_rules, other_versions_and_suites_get_a_hint_and_no_answer) {
  pne_settings st;
  st.lowest_suite = suite_x25519;
  hand_gateway g{std::move(st)};
  auto m = g.dreq();
  m.version = 2;
  EXPECT_EQ(g.hint(g.feed(encode(m))), failure::reason_t::unsupported_version);
  g.now += 5s;
  EXPECT_EQ(g.hint(g.feed(encode(g.dreq(false, {1})))), failure::reason_t::no_common_suite);
  g.now += 5s;
  EXPECT_FALSE(g.feed(encode(failure{}))) << "a hint is not answered";
}

TEST(pne_rules, an_unkeyed_pne_is_silent_outside_its_answer_window_until_a_button_is_pressed) {
  pne_settings st;
  st.answer_window = 120s;
  hand_gateway g{std::move(st)};
  EXPECT_NO_THROW((void)g.ask());
  g.now += 3min;
  EXPECT_EQ(g.hint(g.feed(encode(g.dreq()))), failure::reason_t::window_closed);
  g.pne->handle_button(g.now);
  EXPECT_TRUE(g.deliver(epoch{1, 0}, false));
  g.now += 3min;
  EXPECT_TRUE(g.deliver(epoch{1, 1}, true)) << "a keyed one always answers";
}

TEST(pne_rules, a_factory_reset_erases_the_keys_is_counted_and_wipes_the_contexts) {
  hand_gateway g;
  ASSERT_TRUE(g.deliver(epoch{1, 0}, false));
  const auto x = g.ask();
  g.pne->handle_factory_reset(g.now);
  g.pump();
  EXPECT_EQ(g.pne->state(), pne_state::unkeyed);
  EXPECT_EQ(g.disk.resets, 1u);
  EXPECT_EQ(g.disk.highest(), nullptr);
  EXPECT_EQ(g.hint(g.feed(g.kdel(x, epoch{2, 0}, false))), failure::reason_t::no_context);
  EXPECT_EQ(g.ask().drsp.resets, 1u);
}

}  // namespace
}  // namespace cpns::test
