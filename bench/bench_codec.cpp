// The cost of encoding and decoding one message.

#include <benchmark/benchmark.h>

#include "protocol/codec.hpp"

namespace {

using namespace cpns;
using namespace cpns::protocol;

discovery_request a_dreq() {
  discovery_request m;
  m.gw.value.fill(1);
  m.gw_nonce.fill(2);
  m.issuer_nonce = nonce16{3};
  m.suites = {suite_symmetric, suite_x25519};
  return m;
}

discovery_response a_drsp() {
  discovery_response m;
  m.gw_nonce_echo = {2, 2, 2, 2};
  m.entity = *entity_id::parse("urn:dev:mac:0024befffe804ff1");
  m.pne_share = share32{4};
  m.highest = epoch{1, 7};
  m.possession = tag16{};
  m.presence = tag16{};
  return m;
}

key_assignment_request a_request() {
  key_assignment_request r;
  r.user = *user_id::parse("alice@example.org");
  r.entity = a_drsp().entity;
  r.dreq = encode(a_dreq());
  r.drsp = encode(a_drsp());
  return r;
}

link_answer an_answer() {
  assigned_keys keys;
  keys.generation = 1;
  keys.eukeys.resize(32);
  return {.id = {}, .incarnation = 1, .issuer_nonce = {}, .body = std::move(keys)};
}

void encode_dreq(benchmark::State& state) {
  const auto m = a_dreq();
  for (auto _ : state) benchmark::DoNotOptimize(encode(m));
}
void encode_drsp(benchmark::State& state) {
  const auto m = a_drsp();
  for (auto _ : state) benchmark::DoNotOptimize(encode(m));
}
void decode_dreq(benchmark::State& state) {
  const auto in = encode(a_dreq());
  for (auto _ : state) benchmark::DoNotOptimize(decode_radio(in));
}
void decode_drsp(benchmark::State& state) {
  const auto in = encode(a_drsp());
  for (auto _ : state) benchmark::DoNotOptimize(decode_radio(in));
}
void decode_request(benchmark::State& state) {
  const auto in = encode(link_request{.id = {}, .incarnation = 1, .body = a_request()});
  for (auto _ : state) benchmark::DoNotOptimize(decode_link_request(in));
}
void encode_request(benchmark::State& state) {
  const link_request m{.id = {}, .incarnation = 1, .body = a_request()};
  for (auto _ : state) benchmark::DoNotOptimize(encode(m));
}
void encode_answer_of_32_keys(benchmark::State& state) {
  const auto m = an_answer();
  for (auto _ : state) benchmark::DoNotOptimize(encode(m));
}
void decode_answer_of_32_keys(benchmark::State& state) {
  const auto in = encode(an_answer());
  for (auto _ : state) benchmark::DoNotOptimize(decode_link_answer(in.expose()));
}

BENCHMARK(encode_dreq);
BENCHMARK(decode_dreq);
BENCHMARK(encode_drsp);
BENCHMARK(decode_drsp);
BENCHMARK(encode_request);
BENCHMARK(decode_request);
BENCHMARK(encode_answer_of_32_keys);
BENCHMARK(decode_answer_of_32_keys);

}  // namespace
