#pragma once
// One user, one gateway and any number of headsets at first contact, to create the requests of the benchmarks.

#include <memory>

#include "protocol/server/assignment_machine.hpp"
#include "storage/sealed_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::bench {

using testing_people::headset;
using testing_people::person;
using testing_people::suite;

struct assignment_harness {
  const time_point now{seconds{1'800'000'000}};
  const person alice{"alice@example.org"};
  const gateway_id gw = testing_people::gateway_named("urn:cpns:gw:phone");
  entropy& random = crypto::system_entropy();
  const secret32 exporter = random.draw_secret<32>();
  protocol::assignment_settings settings;

  assignment_harness() { settings.issuer_key = random.draw_secret<32>(); }

  static headset device(std::uint64_t number) {
    return headset{"urn:dev:os:32473-" + std::to_string(number)};
  }
  /// The frame of step 4, after steps 1 and 2 with `h`.
  bytes first_contact(headset& h) {
    const auto slot = static_cast<std::uint64_t>(unix_seconds(now) / protocol::issuer_slot.count());
    const auto nonce = crypto::derive_issuer_nonce(suite(), settings.issuer_key, gw, slot);
    protocol::link_request r;
    r.id = random.draw_id<request_id>();
    auto body = make_request(alice, h, protocol::assignment_reason::first, h.answer(gw, nonce));
    prove(body, alice, exporter);
    r.body = std::move(body);
    return encode(r);
  }
  static storage::sealed_op row(storage::table t, std::string_view name, secret_bytes value) {
    return {t, to_bytes(as_bytes(name)), std::move(value)};
  }
  static storage::sealed_op row(const headset& h) {
    return row(storage::table::devices, h.entity.text(), encode(h.imported()));
  }
  [[nodiscard]] storage::sealed_op user_row() const {
    return row(storage::table::users, alice.user.text(), encode(alice.record));
  }
  /// A sealed store over `under`, which must outlive it.
  std::unique_ptr<storage::sealed_store> seal(storage::store& under) {
    return storage::sealed_store::open(under, *protector_, random).value();
  }

 private:
  std::unique_ptr<storage::key_protector> protector_ = test::key_file_protector(random);
};

}  // namespace cpns::bench
