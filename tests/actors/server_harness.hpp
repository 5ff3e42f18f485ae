#pragma once
// The server's actors on the virtual scheduler: the test decides when they run and when writes complete.

#include <gtest/gtest.h>

#include <caf/scheduler/test_coordinator.hpp>
#include <deque>

#include "protocol/node_codec.hpp"
#include "server/dispatcher.hpp"
#include "server/front_desk.hpp"
#include "server/session.hpp"
#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::server_actor_tests {

using namespace testing_people;
using namespace server;

struct testing_config : caf::actor_system_config {
  testing_config() { set("scheduler.policy", caf::atom("testing")); }
};

/// Records the answers to a gateway.
class inbox final : public link_port {
 public:
  std::vector<protocol::link_answer> answers;
  std::vector<protocol::node_request> requests;
  std::size_t settled = 0;  ///< frames that needed no answer
  std::vector<std::string> closed;
  void send(secret_bytes answer) override {
    auto a = protocol::decode_link_answer(answer.expose());
    ASSERT_TRUE(a.has_value()) << a.error().message();
    answers.push_back(std::move(*a));
  }
  void notify(bytes message) override {
    auto r = protocol::decode_node_request(message);
    ASSERT_TRUE(r.has_value()) << r.error().message();
    requests.push_back(std::move(*r));
  }
  void needs_no_answer() override { ++settled; }
  void close(std::string why) override { closed.push_back(std::move(why)); }
};

struct harness {
  testing_config config;
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& scheduler =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  time_point now{seconds{1'800'000'000}};
  seeded_entropy random{11};
  person alice{"alice@example.org"};
  storage::memory_store memory;
  storage::faulty_store faulty{memory};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> sealed =
      storage::sealed_store::open(faulty, *protector, random).value();
  user_directory users{*sealed, suite(), secret32{}, 10};
  temporary_key_table devices;
  struct write {
    storage::sealed_batch batch;
    storage::commit_done done;
  };
  std::deque<write> held;
  bool hold_writes = false;
  std::shared_ptr<role_context> role;
  dispatcher_actor root;
  std::shared_ptr<inbox> box = std::make_shared<inbox>();
  secret32 exporter = random.draw_secret<32>();
  gateway_id gw = gateway_named("urn:cpns:gw:phone");
  session_actor gateway;
  std::shared_ptr<front_desk> desk;   ///< before `gateway`
  std::vector<session_actor> joined;  ///< all other connections

  explicit harness(std::uint32_t entities_live = 100);
  ~harness();
  harness(const harness&) = delete;
  harness& operator=(const harness&) = delete;

  void drain();
  /// Completes the oldest pending write, or fails it.
  void complete(bool ok = true);
  void put(storage::table t, std::string_view row, secret_bytes value);
  headset device(int i);
  template <class Body>
  protocol::link_request request(Body b) {
    protocol::link_request r;
    r.id = random.draw_id<request_id>();
    r.body = std::move(b);
    return r;
  }
  protocol::link_request assignment(headset& h, assignment_reason why = assignment_reason::first);
  /// The same for another user and gateway.
  protocol::link_request assignment(headset& h, const person& who, const gateway_id& from);
  void send(std::vector<bytes> frames);
  /// Another connection, from the gateway `uri`.
  struct connection {
    std::shared_ptr<inbox> box = std::make_shared<inbox>();
    gateway_id gw;
    session_actor session;
    std::shared_ptr<front_desk> desk;
  };
  connection join(const std::string& uri, const std::string& address = "other");
  void send(const connection& c, std::vector<bytes> frames);
  void leave(connection& c);
  /// Sets the bounds of pending jobs.
  void bound_jobs(std::size_t total, std::size_t per_gateway);
  /// Completes all pending writes.
  void complete_all();
  void send(const protocol::link_request& r) { send(std::vector<bytes>{encode(r)}); }
  void advance(milliseconds d);
  dispatcher_state& inside();
  std::size_t live() { return inside().busy.size() + inside().idle.size(); }
  void kill(const headset& h);
  [[nodiscard]] link_status answer_status(std::size_t i) const;
  const protocol::assigned_keys& keys(std::size_t i) const;
};

/// Of the answer with this number to another connection; ok: it has keys, or outcomes of reports.
link_status status_of(const harness::connection& c, std::size_t i);

}  // namespace cpns::server_actor_tests
