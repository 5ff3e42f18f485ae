// "What the PNE accepts", rule by rule, against a gateway that is written here by hand from the key schedule.
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
        disk = p->record;
      } else if (auto* m = std::get_if<pne_send>(&*out)) {
        sent.push_back(m->message);
      } else {
        events.push_back(std::get<pne_event>(*out));
      }
    }
  }
  /// Hands in a message; what came back, if anything did.
  std::optional<bytes> tell(const bytes& m, pne_link on = {}) {
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
    x.drsp_bytes = tell(x.dreq_bytes).value();
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
    return is_kcnf(tell(kdel(x, which, chained)));
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

TEST(PneRules, PresenceIsThereExactlyWithAnIssuerNonceAndVerifies) {
  hand_gateway g;
  EXPECT_FALSE(g.ask(false).drsp.presence);
  const auto x = g.ask(true);
  ASSERT_TRUE(x.drsp.presence);
  EXPECT_EQ(*x.drsp.presence,
            crypto::presence_tag(s, crypto::derive_presence_key(s, g.tk_prime), x.th1, std::nullopt));
}

TEST(PneRules, ARepeatedDreqGetsTheSameBytes) {
  hand_gateway g;
  const auto x = g.ask();
  g.now += 1s;
  EXPECT_EQ(g.tell(x.dreq_bytes), x.drsp_bytes);
}

TEST(PneRules, OneDreqASecondIsAnsweredWithABurstOfThree) {
  hand_gateway g;
  int answered = 0;
  for (int i = 0; i < 10; ++i) {
    const auto m = g.tell(encode(g.dreq()));
    answered += m && std::holds_alternative<discovery_response>(*decode_radio(*m)) ? 1 : 0;
  }
  EXPECT_EQ(answered, 3);
  g.now += 1s;
  EXPECT_TRUE(g.tell(encode(g.dreq())));
  EXPECT_EQ(g.hint(g.tell(encode(g.dreq()))), failure::reason_t::busy);
  EXPECT_FALSE(g.tell(encode(g.dreq()))) << "hints are bounded too";
}

TEST(PneRules, ARepeatedDreqCostsNothingOfTheRate) {
  hand_gateway g;
  const auto x = g.ask();
  g.now += 5s;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(g.tell(x.dreq_bytes), x.drsp_bytes);
  EXPECT_TRUE(hand_gateway::is_drsp(g.tell(encode(g.dreq()))));
}

TEST(PneRules, AStrangerOnAnotherLinkTakesNeitherTheRateNorTheContextsOfTheHolder) {
  hand_gateway g;
  const auto x = g.ask();
  for (std::uint64_t link = 1; link <= 40; ++link)
    for (int i = 0; i < 10; ++i) g.tell(encode(g.dreq()), {0, link});
  EXPECT_TRUE(hand_gateway::is_drsp(g.tell(encode(g.dreq()))));
  ASSERT_TRUE(g.deliver(epoch{1, 0}, false));
  const auto y = g.ask();
  for (std::uint64_t link = 1; link <= 40; ++link) g.tell(encode(g.dreq()), {0, link});
  EXPECT_TRUE(g.is_kcnf(g.tell(g.kdel(y, epoch{1, 1}, true)))) << "the holder's link never gives way";
  EXPECT_FALSE(g.is_kcnf(g.tell(g.kdel(x, epoch{1, 2}, true)))) << "its older context is for one use";
}

TEST(PneRules, ALinkThatGoesDownTakesItsContextsWithIt) {
  hand_gateway g;
  const auto x = g.ask();
  g.pne->handle_link_down(g.now, {});
  EXPECT_EQ(g.pne->state(), pne_state::unkeyed);
  EXPECT_EQ(g.hint(g.tell(g.kdel(x, epoch{1, 0}, false))), failure::reason_t::no_context);
}

TEST(PneRules, ADeliveryIsStoredBeforeItIsConfirmedAndARepetitionGetsTheSameKcnf) {
  hand_gateway g;
  const auto x = g.ask();
  const auto m = g.kdel(x, epoch{1, 0}, false);
  const auto kcnf = g.tell(m);
  ASSERT_TRUE(g.is_kcnf(kcnf));
  EXPECT_EQ(g.disk.pending->which, (epoch{1, 0}));
  EXPECT_EQ(g.tell(m), kcnf);
  EXPECT_EQ(g.persists, 1);
  EXPECT_EQ(g.pne->state(), pne_state::pending);
  EXPECT_FALSE(g.is_kcnf(g.tell(g.kdel(x, epoch{1, 1}, false)))) << "a context is for one use";
}

TEST(PneRules, ABadFrameNeverEndsAnExchange) {
  hand_gateway g;
  const auto x = g.ask();
  const auto good = g.kdel(x, epoch{1, 0}, false);
  for (std::size_t i = 0; i < 6; ++i) {
    auto bad = good;
    bad[bad.size() - 1 - i] ^= 1;
    EXPECT_FALSE(g.is_kcnf(g.tell(bad)));
    g.now += 300ms;
  }
  EXPECT_FALSE(g.is_kcnf(g.tell(bytes{0xff})));
  EXPECT_TRUE(g.is_kcnf(g.tell(good)));
}

TEST(PneRules, AContextLives60Seconds) {
  hand_gateway g;
  const auto x = g.ask();
  EXPECT_EQ(g.pne->next_deadline(), g.now + 60s);
  g.now += 60s;
  EXPECT_EQ(g.hint(g.tell(g.kdel(x, epoch{1, 0}, false))), failure::reason_t::no_context);
  EXPECT_EQ(g.pne->state(), pne_state::unkeyed);
  EXPECT_EQ(g.pne->next_deadline(), time_never);
}

TEST(PneRules, TwoContextsAreKeptAndTheOldestGivesWay) {
  hand_gateway g;
  const auto a = g.ask(), b = g.ask(), c = g.ask();
  EXPECT_FALSE(g.is_kcnf(g.tell(g.kdel(a, epoch{1, 0}, false))));
  EXPECT_TRUE(g.is_kcnf(g.tell(g.kdel(b, epoch{1, 1}, false))));
  EXPECT_EQ(g.pne->state(), pne_state::pending);
  EXPECT_FALSE(g.is_kcnf(g.tell(g.kdel(c, epoch{1, 2}, false))))
      << "keyed since: it would have to be chained";
}

TEST(PneRules, TheEpochMustExceedEveryStoredOneByAtMost256Generations) {
  hand_gateway g;
  ASSERT_TRUE(g.deliver(epoch{7, 5}, false));
  EXPECT_FALSE(g.deliver(epoch{7, 5}, true));
  EXPECT_FALSE(g.deliver(epoch{7, 4}, true));
  EXPECT_FALSE(g.deliver(epoch{7 + 257, 0}, true));
  EXPECT_TRUE(g.deliver(epoch{7 + 256, 0}, true));
}

TEST(PneRules, AKeyedPneTakesAnUnchainedDeliveryOnlyOfANewGenerationAndInTheWindow) {
  hand_gateway g;
  ASSERT_TRUE(g.deliver(epoch{1, 0}, false));
  EXPECT_FALSE(g.deliver(epoch{1, 1}, false));
  EXPECT_TRUE(g.deliver(epoch{2, 0}, false));
  g.now += 10min;
  const auto x = g.ask();
  EXPECT_EQ(g.hint(g.tell(g.kdel(x, epoch{3, 0}, false))), failure::reason_t::window_closed);
  g.pne->handle_button(g.now);
  EXPECT_TRUE(g.deliver(epoch{3, 0}, false));
  g.now += 11min;
  g.pne->handle_wake(g.now);
  EXPECT_TRUE(g.deliver(epoch{4, 0}, false));
}

TEST(PneRules, StrictNeverTakesAnUnchainedDeliveryWhileItHoldsAKey) {
  pne_settings st;
  st.strict_chain = true;
  hand_gateway g{std::move(st)};
  ASSERT_TRUE(g.deliver(epoch{1, 0}, false));
  EXPECT_FALSE(g.deliver(epoch{2, 0}, false));
  EXPECT_TRUE(g.deliver(epoch{2, 0}, true));
}

TEST(PneRules, AcceptingMakesAnOldPendingCurrentAndKretErasesTheOlderKey) {
  hand_gateway g;
  ASSERT_TRUE(g.deliver(epoch{1, 0}, false));
  const auto x = g.ask();
  EXPECT_EQ(x.drsp.highest, (epoch{1, 0}));
  EXPECT_EQ(*x.drsp.possession, crypto::possession_tag(s, g.key_of(epoch{1, 0}), x.th1));
  ASSERT_TRUE(g.is_kcnf(g.tell(g.kdel(x, epoch{1, 1}, true))));
  EXPECT_EQ(g.disk.current->which, (epoch{1, 0}));
  EXPECT_EQ(g.disk.pending->which, (epoch{1, 1}));
  auto wrong = g.kret(x, epoch{1, 1});
  wrong.back() ^= 1;
  g.tell(wrong);
  EXPECT_TRUE(g.disk.pending);
  g.tell(g.kret(x, epoch{1, 1}));
  EXPECT_FALSE(g.disk.pending);
  EXPECT_EQ(g.disk.current->which, (epoch{1, 1}));
  EXPECT_EQ(g.pne->state(), pne_state::keyed);
}

TEST(PneRules, AWriteThatFailsLeavesTheRecordBeforeItAndNothingIsConfirmed) {
  hand_gateway g;
  const auto x = g.ask();
  g.disk_full = true;
  EXPECT_FALSE(g.is_kcnf(g.tell(g.kdel(x, epoch{1, 0}, false))));
  EXPECT_EQ(g.pne->state(), pne_state::unkeyed);
  EXPECT_FALSE(g.pne->current_epoch());
  g.disk_full = false;
  EXPECT_TRUE(g.deliver(epoch{1, 1}, false));
}

TEST(PneRules, OtherVersionsAndSuitesGetAHintAndNoAnswer) {
  pne_settings st;
  st.lowest_suite = suite_x25519;
  hand_gateway g{std::move(st)};
  auto m = g.dreq();
  m.version = 2;
  EXPECT_EQ(g.hint(g.tell(encode(m))), failure::reason_t::unsupported_version);
  g.now += 5s;
  EXPECT_EQ(g.hint(g.tell(encode(g.dreq(false, {1})))), failure::reason_t::no_common_suite);
  g.now += 5s;
  EXPECT_FALSE(g.tell(encode(failure{}))) << "a hint is not answered";
}

TEST(PneRules, AnUnkeyedPneOutsideItsAnswerWindowIsSilentUntilAButtonIsPressed) {
  pne_settings st;
  st.answer_window = 120s;
  hand_gateway g{std::move(st)};
  EXPECT_NO_THROW((void)g.ask());
  g.now += 3min;
  EXPECT_EQ(g.hint(g.tell(encode(g.dreq()))), failure::reason_t::window_closed);
  g.pne->handle_button(g.now);
  EXPECT_TRUE(g.deliver(epoch{1, 0}, false));
  g.now += 3min;
  EXPECT_TRUE(g.deliver(epoch{1, 1}, true)) << "a keyed one always answers";
}

TEST(PneRules, AFactoryResetErasesTheKeysCountsAndWipesTheContexts) {
  hand_gateway g;
  ASSERT_TRUE(g.deliver(epoch{1, 0}, false));
  const auto x = g.ask();
  g.pne->handle_factory_reset(g.now);
  g.pump();
  EXPECT_EQ(g.pne->state(), pne_state::unkeyed);
  EXPECT_EQ(g.disk.resets, 1u);
  EXPECT_EQ(g.disk.highest(), nullptr);
  EXPECT_EQ(g.hint(g.tell(g.kdel(x, epoch{2, 0}, false))), failure::reason_t::no_context);
  EXPECT_EQ(g.ask().drsp.resets, 1u);
}

}  // namespace
}  // namespace cpns::test
