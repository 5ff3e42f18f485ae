// The cost of each derivation of the key schedule: the floor of an assignment.

#include <benchmark/benchmark.h>

#include "crypto/key_schedule.hpp"
#include "crypto/scram.hpp"
#include "crypto/xaes.hpp"

namespace {

using namespace cpns;
using namespace cpns::crypto;

const suite& s = openssl_suite();

void th1(benchmark::State& state) {
  const bytes dreq(64), drsp(120);
  for (auto _ : state) benchmark::DoNotOptimize(transcript1(s, dreq, drsp));
}
void th2(benchmark::State& state) {
  const digest h{};
  const byte_array<32> share{};
  for (auto _ : state)
    benchmark::DoNotOptimize(transcript2(s, h, std::nullopt, tag16{}, epoch{1, 0}, false, share));
}
void possession(benchmark::State& state) {
  const secret32 key;
  const digest h{};
  for (auto _ : state) benchmark::DoNotOptimize(possession_tag(s, key, h));
}
void presence(benchmark::State& state) {
  const secret32 tk;
  const digest h{};
  for (auto _ : state) {
    const auto k = derive_presence_key(s, tk);
    benchmark::DoNotOptimize(presence_tag(s, k, h, std::nullopt));
  }
}
void gateway_temporary_key(benchmark::State& state) {
  const secret32 tk;
  for (auto _ : state) benchmark::DoNotOptimize(derive_gateway_temporary_key(s, tk, gateway_id{}, 1));
}
void confirm(benchmark::State& state) {
  const secret32 key;
  const digest h{};
  for (auto _ : state) benchmark::DoNotOptimize(confirm_tag(s, key, h));
}
void delivery_key_and_seal(benchmark::State& state) {
  const secret32 k;
  const digest h{};
  const bytes content(60), aad(50);
  for (auto _ : state) {
    const auto d = derive_delivery_key(s, h, k, k, k);
    benchmark::DoNotOptimize(s.gcm_seal(d.key, d.nonce, aad, content));
  }
}
void delivery_key_and_open(benchmark::State& state) {
  const secret32 k;
  const digest h{};
  const bytes content(60), aad(50);
  const auto d = derive_delivery_key(s, h, k, k, k);
  const auto sealed = s.gcm_seal(d.key, d.nonce, aad, content);
  for (auto _ : state) {
    const auto again = derive_delivery_key(s, h, k, k, k);
    benchmark::DoNotOptimize(s.gcm_open(again.key, again.nonce, aad, sealed));
  }
}
void x25519_share(benchmark::State& state) {
  auto& random = system_entropy();
  for (auto _ : state) benchmark::DoNotOptimize(s.x25519_generate(random));
}
void x25519_agree(benchmark::State& state) {
  auto& random = system_entropy();
  const auto a = s.x25519_generate(random), b = s.x25519_generate(random);
  for (auto _ : state) benchmark::DoNotOptimize(s.x25519(a.private_key, b.public_key));
}
/// The gateway's side of the proof: the hash of a request of 400 bytes, then ClientProof.
void scram_prove(benchmark::State& state) {
  const secret32 client, exporter;
  const bytes request(400);
  for (auto _ : state)
    benchmark::DoNotOptimize(scram_proof(s, client, scram_auth_message(exporter, s.sha256(request))));
}
/// The server's side: the same hash, then the check against StoredKey.
void scram_check(benchmark::State& state) {
  const secret32 client, exporter;
  const bytes request(400);
  const auto stored = scram_stored_key(s, client);
  const auto proof = scram_proof(s, client, scram_auth_message(exporter, s.sha256(request)));
  for (auto _ : state)
    benchmark::DoNotOptimize(scram_verify(s, stored, scram_auth_message(exporter, s.sha256(request)), proof));
}
/// 1,500 bytes: a row with a set of 32 keys; 150: a PNE's key file, or the row of a Temporary Key.
void seal_a_row(benchmark::State& state) {
  auto& random = system_entropy();
  xaes_key key{secret32{}};
  const bytes aad(60);
  bytes row(xaes_overhead + static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    random.fill(std::span(row).first(xaes_nonce_size));
    key.seal(aad, row);
    benchmark::DoNotOptimize(row);
  }
}
void open_a_row(benchmark::State& state) {
  xaes_key key{secret32{}};
  const bytes row(static_cast<std::size_t>(state.range(0))), aad(60);
  const auto sealed = xaes_seal(secret32{}, system_entropy(), aad, row);
  bytes plain(row.size());
  for (auto _ : state) benchmark::DoNotOptimize(key.open(aad, sealed, plain));
}
void draw_a_set_of_32_keys(benchmark::State& state) {
  auto& random = system_entropy();
  for (auto _ : state)
    for (int i = 0; i < 32; ++i) benchmark::DoNotOptimize(random.draw_secret<32>());
}

/// All of one EUKey and purpose: what a confirmed renewal costs a gateway with application keys.
void application_key_of_one_purpose(benchmark::State& state) {
  const secret32 key;
  const auto device = entity_id::parse("urn:dev:mac:0024befffe804ff1").value();
  const application_name name{"mqtt", device, epoch{1, 0}};
  for (auto _ : state) {
    benchmark::DoNotOptimize(derive_application_key(s, key, name, 32));
    benchmark::DoNotOptimize(derive_application_fingerprint(s, key, name, 32));
    benchmark::DoNotOptimize(derive_opaque_identity(s, key, name));
  }
}

/// Once in the lifetime of a gateway, never during an assignment.
void enrolment_pbkdf2(benchmark::State& state) {
  const bytes password(16), salt(16);
  for (auto _ : state)
    benchmark::DoNotOptimize(scram_client_key(s, password, salt, scram_iterations_default));
}

BENCHMARK(th1);
BENCHMARK(th2);
BENCHMARK(possession);
BENCHMARK(presence);
BENCHMARK(gateway_temporary_key);
BENCHMARK(confirm);
BENCHMARK(delivery_key_and_seal);
BENCHMARK(delivery_key_and_open);
BENCHMARK(x25519_share);
BENCHMARK(x25519_agree);
BENCHMARK(scram_prove);
BENCHMARK(scram_check);
BENCHMARK(seal_a_row)->Arg(150)->Arg(1500);
BENCHMARK(open_a_row)->Arg(150)->Arg(1500);
BENCHMARK(draw_a_set_of_32_keys);
BENCHMARK(application_key_of_one_purpose);
BENCHMARK(enrolment_pbkdf2)->Unit(benchmark::kMillisecond);

}  // namespace
