// What the key schedule costs, one derivation at a time: the floor of an assignment.

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
void delivery_key_and_seal(benchmark::State& state) {
  const secret32 k;
  const digest h{};
  const bytes content(60), aad(50);
  for (auto _ : state) {
    const auto d = derive_delivery_key(s, h, k, k, k);
    benchmark::DoNotOptimize(s.gcm_seal(d.key, d.nonce, aad, content));
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
void scram_check(benchmark::State& state) {
  const secret32 client;
  const auto stored = scram_stored_key(s, client);
  const bytes message(100);
  const auto proof = scram_proof(s, client, message);
  for (auto _ : state) benchmark::DoNotOptimize(scram_verify(s, stored, message, proof));
}
void seal_a_row_of_1200_bytes(benchmark::State& state) {
  auto& random = system_entropy();
  const secret32 key;
  const bytes row(1200), aad(40);
  for (auto _ : state) benchmark::DoNotOptimize(xaes_seal(key, random, aad, row));
}
void draw_a_set_of_32_keys(benchmark::State& state) {
  auto& random = system_entropy();
  for (auto _ : state)
    for (int i = 0; i < 32; ++i) benchmark::DoNotOptimize(random.draw_secret<32>());
}

BENCHMARK(th1);
BENCHMARK(possession);
BENCHMARK(presence);
BENCHMARK(gateway_temporary_key);
BENCHMARK(delivery_key_and_seal);
BENCHMARK(x25519_share);
BENCHMARK(x25519_agree);
BENCHMARK(scram_check);
BENCHMARK(seal_a_row_of_1200_bytes);
BENCHMARK(draw_a_set_of_32_keys);

}  // namespace
