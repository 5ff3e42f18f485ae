#include "tests/unit/machines/real_server.hpp"

namespace cpns::test {

using namespace protocol;

real_server::real_server(const entity_id& entity, const secret32& tk_prime, std::uint64_t seed)
    : random_(seed), weather_(seed + 1) {
  device_.entity = entity;
  device_.temporary_key = tk_prime;
  settings.issuer_key = random_.draw_secret<32>();
  exporter_ = random_.draw_secret<32>();
  restart();
}

void real_server::restart() {
  ++restarts;
  entity_record record;
  record.entity = device_.entity;
  if (!disk.empty()) {
    auto read = decode_entity_record(disk.expose());
    if (!read) return faults.push_back("the server's row does not decode: " + read.error().message());
    record = std::move(*read);
  }
  machine_.emplace(settings, std::move(record), crypto::openssl_suite(), random_);
}

nonce16 real_server::issuer_nonce(const gateway_id& gw, time_point now) const {
  return crypto::derive_issuer_nonce(crypto::openssl_suite(), settings.issuer_key, gw,
                                     static_cast<std::uint64_t>(unix_seconds(now) / issuer_slot.count()));
}

std::optional<real_server::answer_t> real_server::drive(time_point now, bool& stored) {
  std::optional<answer_t> answer;
  stored = true;
  while (auto out = machine_->poll_output()) {
    if (weather_.next() % 1000 < ends_per_mille) {
      stored = false;
      restart();
      return std::nullopt;
    }
    if (std::get_if<assignment_fetch_user>(&*out) != nullptr) {
      machine_->handle_user(now, alice_.record);
    } else if (std::get_if<assignment_fetch_device>(&*out) != nullptr) {
      machine_->handle_device(now, std::optional{device_});
    } else if (auto* p = std::get_if<assignment_persist>(&*out)) {
      stored = !weather_.chance(write_failures);
      if (stored)
        disk = encode(*p->record);
      else
        machine_->handle_persist_failed(now);
    } else if (auto* a = std::get_if<assignment_answer>(&*out)) {
      answer = std::move(a->body);
    }
  }
  return answer;
}

std::optional<real_server::answer_t> real_server::handle(const gateway_id& gw, const request_id& id,
                                                         const key_assignment_request& r, time_point now) {
  ++asked;
  auto proved = r;
  testing_people::prove(proved, alice_, exporter_);
  machine_->handle_request(now, testing_people::received({gw, exporter_}, id, proved));
  bool stored = true;
  auto answer = drive(now, stored);
  if (!answer) return answer;
  if (const auto* keys = std::get_if<assigned_keys>(&*answer)) check(*keys);
  if (const auto* no = std::get_if<refusal>(&*answer)) stale += no->status == link_status::stale_epoch;
  return answer;
}

std::optional<report_outcome> real_server::handle_report(const gateway_id& gw, epoch e, time_point now) {
  const auto outcome = machine_->handle_report(now, gw, e);
  bool stored = true;
  drive(now, stored);
  return stored ? std::optional{outcome} : std::nullopt;
}

void real_server::check(const assigned_keys& a) {
  const auto row = decode_entity_record(disk.expose());
  const auto* set = [&]() -> const eukey_set* {
    if (!row) return nullptr;
    for (const auto& s : row->sets)
      if (s.set == a.set && s.generation == a.generation) return &s;
    return nullptr;
  }();
  if (set == nullptr || set->next_index < a.first_index + a.eukeys.size())
    faults.push_back("an answer left before its set was durable");
  for (std::size_t i = 0; i < a.eukeys.size(); ++i) {
    const epoch which{a.generation, static_cast<std::uint16_t>(a.first_index + i)};
    const auto [at, is_new] = answered_.emplace(std::pair{a.set, which}, a.eukeys[i]);
    if (!is_new && !(at->second == a.eukeys[i]))
      faults.push_back("the server gave (set_id, epoch) two keys: " + which.text());
  }
}

const secret32* real_server::key(const set_id& set, epoch e) const {
  const auto at = answered_.find({set, e});
  return at == answered_.end() ? nullptr : &at->second;
}

}  // namespace cpns::test
