#pragma once
// A server role with its store, a user and devices, and gateways that connect over real TLS.

#include "server/index_rows.hpp"
#include "server/server.hpp"
#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "storage/rocksdb_store.hpp"
#include "tests/unit/server/captured_log.hpp"
#include "tests/unit/server/gateway_end.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::server_tests {

using namespace testing_people;

inline headset device_number(int i) { return headset{"urn:dev:os:32473-" + std::to_string(1000 + i)}; }

struct role_harness {
  captured_log log;
  crypto::tls_home home;
  person alice{"alice@example.org", "correct horse"};
  headset device = device_number(0);
  config::server_config config;
  std::unique_ptr<storage::key_protector> protector;
  storage::memory_store memory;
  storage::faulty_store faulty{memory};
  std::unique_ptr<storage::store> database;  ///< instead of `memory`
  std::unique_ptr<storage::sealed_store> sealed;
  std::unique_ptr<server::server_role> role;
  std::uint64_t next_id = 1;

  explicit role_harness(bool on_disk = false, bool shared = false) : memory(shared), on_disk_(on_disk) {
    begin();
  }
  /// On an empty store, as the first of its servers.
  explicit role_harness(std::unique_ptr<storage::store> on) : database(std::move(on)), on_disk_(false) {
    begin();
  }
  void begin() {
    EXPECT_TRUE(storage::create_key_file(home.folder() + "/kek", crypto::system_entropy()).has_value());
    protector = storage::open_key_file(home.folder() + "/kek").value();
    config.listen = {"127.0.0.1", 0};
    config.tls = {home.server.certificate, home.server.key, home.server.ca};
    open();
    EXPECT_TRUE(sealed->write({server::index_complete_op()}).has_value());
    put(storage::table::users, alice.user.text(), encode(alice.record));
    import(device);
    start();
  }
  void open() {
    if (on_disk_) database = storage::open_rocksdb_store(home.folder() + "/db").value();
    sealed = storage::sealed_store::open(database ? *database : faulty, *protector, crypto::system_entropy())
                 .value();
  }
  void start() { role = server::server_role::start(config, *sealed).value(); }
  /// As after kill -9: a new role starts from the durable state.
  void kill_and_restart() {
    role.reset();
    if (on_disk_) {
      sealed.reset();
      database.reset();
      open();
    }
    start();
  }
  void put(storage::table t, std::string_view row, secret_bytes value) {
    storage::sealed_batch b;
    if (t == storage::table::entities)
      if (const auto r = protocol::decode_entity_record(value.expose())) server::add_index_rows(b, *r);
    b.push_back({t, to_bytes(as_bytes(row)), std::move(value)});
    EXPECT_TRUE(sealed->write(b).has_value());
  }
  void import(const headset& h) { put(storage::table::devices, h.entity.text(), encode(h.imported())); }

  std::unique_ptr<gateway_end> connect() { return connect(home.client); }
  std::unique_ptr<gateway_end> connect(const crypto::tls_files& files) {
    auto made = std::make_unique<gateway_end>(role->port(), crypto::make_client_tls(files).value());
    EXPECT_TRUE(made->connected()) << made->error();
    return made;
  }
  request_id new_id() {
    request_id id;
    id.value[0] = static_cast<std::uint8_t>(next_id >> 8);
    id.value[1] = static_cast<std::uint8_t>(next_id++);
    return id;
  }
  template <class Body>
  protocol::link_request request(Body b) {
    protocol::link_request r;
    r.id = new_id();
    r.body = std::move(b);
    return r;
  }
  const gateway_id gw = gateway_named("urn:cpns:gw:hall");

  /// Steps 1 and 2 with a fresh issuer nonce, then a signed request of step 4.
  protocol::link_request assignment(gateway_end& g, headset& h, const person& who,
                                    assignment_reason why = assignment_reason::first,
                                    const gateway_id* as = nullptr) {
    const auto nonce = g.ask(request(protocol::issuer_nonce_request{}));
    EXPECT_TRUE(nonce.has_value());
    auto body = make_request(who, h, why,
                             h.answer(as != nullptr ? *as : gw, nonce ? nonce->issuer_nonce : nonce16{}));
    prove(body, who, g.exporter());
    return request(std::move(body));
  }

 private:
  bool on_disk_;
};

template <class Body>
Body body_of(const std::optional<protocol::link_answer>& a) {
  const Body none{};
  if (!a) {
    ADD_FAILURE() << "no answer";
    return none;
  }
  const auto* b = std::get_if<Body>(&a->body);
  if (b == nullptr) {
    const auto* no = std::get_if<refusal>(&a->body);
    ADD_FAILURE() << "another answer"
                  << (no != nullptr ? ": " + std::string{name_of(no->status)} + ", " + no->reason : "");
    return none;
  }
  return *b;
}
inline link_status status_of(const std::optional<protocol::link_answer>& a) {
  if (!a) return link_status::internal;
  const auto* no = std::get_if<refusal>(&a->body);
  return no == nullptr ? link_status::ok : no->status;
}

}  // namespace cpns::server_tests
