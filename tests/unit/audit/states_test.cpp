// The states in the lines, and what the store tells of a change that a crash interrupted.

#include "audit/gateway_states.hpp"
#include "audit/server_states.hpp"
#include "crypto/key_schedule.hpp"
#include "protocol/pn_gw/device_record.hpp"
#include "protocol/server/import_records.hpp"
#include "support.hpp"

namespace cpns::audit {
namespace {

using boost::json::object;
using boost::json::value;

class states : public trail_test {
 protected:
  static protocol::user_record user(const std::string& name, std::uint8_t salt = 1) {
    protocol::user_record r;
    r.user = user_id::parse(name).value();
    r.salt.fill(salt);
    r.iterations = 10'000;
    r.stored_key.fill(0xab);
    r.created = 1'800'000'000;
    return r;
  }
  static protocol::device_secret_record device(const std::string& batch) {
    protocol::device_secret_record r;
    r.entity = entity_id::parse(entity).value();
    for (auto& b : r.temporary_key.expose_mutable()) b = 0xcd;
    r.batch = batch;
    return r;
  }
  void put(const protocol::user_record& r) {
    ASSERT_TRUE(sealed->write({{storage::table::users, to_bytes(as_bytes(r.user.text())), encode(r)}}));
  }
  void put(const protocol::device_secret_record& r) {
    ASSERT_TRUE(sealed->write({{storage::table::devices, to_bytes(as_bytes(r.entity.text())), encode(r)}}));
  }
  void put_entity(const std::string& name, const std::optional<gateway_id>& holder) {
    protocol::entity_record r;
    r.entity = entity_id::parse(name).value();
    r.owner = user_id::parse("alice").value();
    r.holder = holder;
    r.holder_uri = holder ? gateway : "";
    ASSERT_TRUE(sealed->write({{storage::table::entities, to_bytes(as_bytes(name)), encode(r)}}));
  }
  outcome became(const char* action, const std::string& name, value before, value after) {
    return resolve_in_store(*sealed)({5, "", action, name, std::move(before), std::move(after)});
  }
  static constexpr const char* entity = "urn:dev:mac:0024befffe804ff1";
  static constexpr const char* gateway = "urn:cpns:gw:gw1";
  gateway_id gw = crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::x509, gateway);
};

TEST_F(states, tell_what_became_of_a_batch) {
  protocol::batch_record b;
  b.batch = "lot7";
  b.ids = protocol::parse_ranges({"urn:dev:mac:0024be*", "urn:dev:os:1-10..urn:dev:os:1-19"}).value();
  for (auto& byte : b.master_key.expose_mutable()) byte = 0xcd;
  const auto state = state_of(b);
  EXPECT_EQ(boost::json::serialize(state),
            R"({"entities":["urn:dev:mac:0024be*","urn:dev:os:1-10..urn:dev:os:1-19"]})");
  EXPECT_EQ(became(batch_add, "lot7", nullptr, state).is, verdict::not_done);
  ASSERT_TRUE(sealed->write({{storage::table::batches, to_bytes(as_bytes(b.batch)), encode(b)}}));
  EXPECT_EQ(batch_state(*sealed, "lot7").value(), state);
  EXPECT_EQ(became(batch_add, "lot7", nullptr, state).is, verdict::done);
  EXPECT_EQ(became(batch_remove, "lot7", state, object{}).is, verdict::not_done);
  ASSERT_TRUE(sealed->write({{storage::table::batches, to_bytes(as_bytes(b.batch)), std::nullopt}}));
  EXPECT_EQ(became(batch_remove, "lot7", state, object{}).is, verdict::done);
  EXPECT_EQ(became(batch_export, "lot7", nullptr, object{{"from", entity}, {"to", entity}}).is,
            verdict::unknown);
}

TEST_F(states, tell_whether_a_device_was_blocked) {
  auto d = device("lot7");
  put(d);
  EXPECT_EQ(became(device_block, entity, state_of(d), object{{"blocked", true}}).is, verdict::not_done);
  const auto before = state_of(d);
  d.blocked = true;
  put(d);
  EXPECT_EQ(became(device_block, entity, before, object{{"blocked", true}}).is, verdict::done);
}

TEST_F(states, have_no_secret) {
  const auto u = boost::json::serialize(state_of(user("alice")));
  EXPECT_EQ(u, R"({"created":"2027-01-15T08:00:00.000Z","iterations":10000,"password_id":")" +
                   to_hex(byte_view(crypto::openssl_suite().sha256(user("alice").salt)).first(4)) + "\"}");
  EXPECT_FALSE(has(u, "abab"));
  const auto d = boost::json::serialize(state_of(device("lot7")));
  EXPECT_EQ(d, R"({"strength":"128bit","owner":null,"presence":true,"batch":"lot7"})");
  EXPECT_NE(state_of(user("alice", 1)), state_of(user("alice", 2))) << "another password is another state";
}

TEST_F(states, tell_whether_a_user_was_added_changed_or_removed) {
  const auto one = user("alice", 1), two = user("alice", 2);
  EXPECT_EQ(became(user_add, "alice", nullptr, state_of(one)).is, verdict::not_done);
  put(one);
  EXPECT_EQ(became(user_add, "alice", nullptr, state_of(one)).is, verdict::done);
  EXPECT_EQ(became(user_password, "alice", state_of(one), state_of(two)).is, verdict::not_done);
  EXPECT_EQ(became(user_password, "alice", state_of(two), state_of(one)).is, verdict::done);
  EXPECT_EQ(became(user_remove, "alice", state_of(one), nullptr).is, verdict::not_done);
  EXPECT_EQ(became(user_remove, "bob", state_of(one), nullptr).is, verdict::done);
  const auto other = became(user_password, "alice", state_of(two), state_of(user("alice", 3)));
  EXPECT_EQ(other.is, verdict::unknown);
  EXPECT_EQ(other.after, state_of(one)) << "the line shows the state that is there";
  under.fail_reads(errc::store_unavailable);
  EXPECT_EQ(became(user_add, "alice", nullptr, state_of(one)).is, verdict::unknown);
}

TEST_F(states, tell_whether_a_user_was_added_or_changed_by_a_request_that_knows_the_name_alone) {
  const object body{{"user", "alice"}, {"password", "(hidden)"}}, no_name{{"password", "(hidden)"}};
  EXPECT_EQ(became(user_add, "alice", nullptr, body).is, verdict::not_done);
  const auto one = user("alice", 1), two = user("alice", 2);
  put(one);
  const auto added = became(user_add, "alice", nullptr, body);
  EXPECT_EQ(added.is, verdict::done);
  EXPECT_EQ(added.after, state_of(one));
  EXPECT_EQ(became(user_add, "alice", state_of(one), body).is, verdict::not_done) << "it was there before";
  EXPECT_EQ(became(user_password, "alice", state_of(one), no_name).is, verdict::not_done);
  EXPECT_EQ(became(user_password, "alice", state_of(two), no_name).is, verdict::done);
  EXPECT_EQ(became(user_password, "alice", nullptr, no_name).is, verdict::unknown);
  EXPECT_EQ(became(user_password, "bob", state_of(one), no_name).is, verdict::unknown) << "it was removed";
  EXPECT_EQ(became(user_remove, "alice", state_of(one), object{}).is, verdict::not_done);
  EXPECT_EQ(became(user_remove, "bob", state_of(one), object{}).is, verdict::done) << "with a body";
  EXPECT_EQ(became(device_remove, entity, state_of(device("lot7")), object{}).is, verdict::done);
}

TEST_F(states, tell_what_became_of_an_import_by_its_record) {
  protocol::import_record r;
  r.name = "lot7";
  const object after{{"import", "lot7"}, {"rows", 3}};
  const auto became_now = [&](protocol::import_state in_store) {
    r.state = in_store;
    EXPECT_TRUE(sealed->write(
        {{storage::table::imports, to_bytes(as_bytes(protocol::import_row(r.name))), protocol::encode(r)}}));
    return became(device_import, "lot7.csv", nullptr, after).is;
  };
  EXPECT_EQ(became(device_import, "lot7.csv", nullptr, after).is, verdict::unknown) << "it was forgotten";
  EXPECT_EQ(became_now(protocol::import_state::receiving), verdict::not_done);
  EXPECT_EQ(became_now(protocol::import_state::importing), verdict::done) << "each start goes on";
  EXPECT_EQ(became_now(protocol::import_state::done), verdict::done);
  EXPECT_EQ(became_now(protocol::import_state::refused), verdict::refused);
  EXPECT_EQ(became(device_import, "lot7.csv", nullptr, object{{"rows", 3}}).is, verdict::unknown);
}

TEST_F(states, tell_whether_a_device_was_added_or_removed) {
  put(device("lot7"));
  EXPECT_EQ(became(device_add, entity, nullptr, state_of(device("lot7"))).is, verdict::done);
  EXPECT_EQ(became(device_remove, entity, state_of(device("lot7")), nullptr).is, verdict::not_done);
}

TEST_F(states, tell_whether_entities_were_released) {
  put_entity(entity, gw);
  put_entity("urn:dev:os:1-7", gw);
  const value held = object{{"owner", "alice"}, {"holder", gateway}},
              free = object{{"owner", "alice"}, {"holder", nullptr}};
  EXPECT_EQ(became(entity_release, entity, held, free).is, verdict::not_done);
  EXPECT_EQ(became(gateway_release, gateway, release_state(2), release_state(0)).is, verdict::not_done);
  EXPECT_EQ(became(gateway_release, gw.hex(), release_state(2), release_state(0)).is, verdict::not_done);
  put_entity(entity, std::nullopt);
  EXPECT_EQ(became(entity_release, entity, held, free).is, verdict::done);
  const auto half = became(gateway_release, gateway, release_state(2), release_state(0));
  EXPECT_EQ(half.is, verdict::unknown);
  EXPECT_EQ(half.after, release_state(1));
  EXPECT_EQ(became(gateway_release, gateway, nullptr, object{}).is, verdict::unknown) << "a page of the API";
  put_entity("urn:dev:os:1-7", std::nullopt);
  EXPECT_EQ(became(gateway_release, gateway, release_state(2), release_state(0)).is, verdict::done);
  EXPECT_EQ(became(gateway_release, gateway, nullptr, object{{"after", "p"}}).is, verdict::done);
  EXPECT_EQ(became(gateway_release, "nobody", release_state(2), release_state(0)).is, verdict::unknown);
}

TEST_F(states, tell_whether_a_gateway_was_blocked) {
  const value served = object{{"blocked", false}}, blocked = object{{"blocked", true}};
  EXPECT_EQ(became(gateway_block, gateway, nullptr, blocked).is, verdict::not_done) << "without a row";
  protocol::gateway_record r;
  r.gw = gw;
  r.blocked_since = 1'800'000'000;
  ASSERT_TRUE(sealed->write({{storage::table::gateways, to_bytes(gw.value), encode(r)}}));
  EXPECT_EQ(became(gateway_block, gateway, served, blocked).is, verdict::done);
  EXPECT_EQ(became(gateway_block, gw.hex(), nullptr, blocked).is, verdict::done) << "by its other name";
  EXPECT_EQ(became(gateway_unblock, gateway, blocked, served).is, verdict::not_done);
  EXPECT_EQ(became(gateway_block, "nobody", served, blocked).is, verdict::unknown);
}

TEST_F(states, tell_whether_a_gateway_has_a_key) {
  const std::string hub = "urn:cpns:psk:hall";
  const auto id = crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::psk, hub);
  const auto without = gateway_key_state(false), with = gateway_key_state(true);
  EXPECT_EQ(became(gateway_key_add, hub, without, with).is, verdict::not_done) << "without a row";
  protocol::gateway_record r;
  r.gw = id;
  r.psk = secret_bytes{bytes(32, 0xab)};
  ASSERT_TRUE(sealed->write({{storage::table::gateways, to_bytes(id.value), encode(r)}}));
  const auto done = became(gateway_key_add, hub, without, with);
  EXPECT_EQ(done.is, verdict::done);
  EXPECT_EQ(done.after, with) << "nothing of the key itself";
  EXPECT_EQ(became(gateway_key_remove, hub, with, without).is, verdict::not_done);
  EXPECT_EQ(became(gateway_key_remove, "nobody", with, without).is, verdict::unknown);
}

TEST_F(states, of_a_gateway_tell_what_was_decided_about_a_pne) {
  const auto became_at = [&](const char* action, const char* before) {
    const value was = before == nullptr ? value(nullptr) : value(object{{"state", before}});
    return resolve_in_gateway_store(*sealed)({5, "", action, entity, was, nullptr}).is;
  };
  EXPECT_EQ(became_at(pne_approve, "awaiting_approval"), verdict::not_done);
  EXPECT_EQ(became_at(pne_forget, "keyed"), verdict::done);
  protocol::device_record r;
  r.entity = entity_id::parse(entity).value();
  r.user = user_id::parse("alice").value();
  const auto put_row = [&] {
    ASSERT_TRUE(sealed->write({{storage::table::peers, to_bytes(as_bytes(entity)), protocol::encode(r)}}));
  };
  put_row();
  EXPECT_EQ(became_at(pne_reject, "awaiting_approval"), verdict::not_done);
  EXPECT_EQ(became_at(pne_forget, "keyed"), verdict::unknown) << "it may be a new one";
  r.approved = true;
  put_row();
  EXPECT_EQ(became_at(pne_approve, "awaiting_approval"), verdict::done);
  EXPECT_EQ(became_at(pne_approve, "keyed"), verdict::unknown) << "it was approved before";
  r.standing = protocol::device_standing::rejected;
  r.generation = 4;
  put_row();
  EXPECT_EQ(became_at(pne_reject, "keyed"), verdict::done);
  EXPECT_EQ(became_at(pne_reject, "rejected"), verdict::unknown);
  EXPECT_EQ(became_at(pne_forget, "keyed"), verdict::not_done);
  EXPECT_EQ(became_at("pne-update", "keyed"), verdict::unknown);
  under.fail_reads(errc::store_unavailable);
  EXPECT_EQ(became_at(pne_forget, "keyed"), verdict::unknown);
}

TEST_F(states, tell_nothing_of_other_actions) {
  EXPECT_EQ(became("log-level", "link", nullptr, "debug").is, verdict::unknown);
}

TEST_F(states, survive_the_way_through_the_file_and_a_crash) {
  killed([this] {
    const auto t = must_open();
    change c = add("alice");
    c.after = state_of(user("alice"));
    const auto a = t->begin(c);
    c.object = "bob";
    const auto b = t->begin(c);
    put(user("alice"));
    remember();
  });
  must_open(resolve_in_store(*sealed));
  const auto all = objects();
  ASSERT_EQ(all.size(), 5U);
  EXPECT_EQ(text(all[3], "outcome"), "done");
  EXPECT_EQ(text(all[4], "outcome"), "not_done");
}

}  // namespace
}  // namespace cpns::audit
