#include "server/key_service.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "config/values.hpp"
#include "server/key_answer.hpp"

namespace cpns::server {
namespace {

/// Keys that are asked for again because a device did not prove its presence: ten at once, then one per second.
constexpr double tokens_max = 10;
/// A service that wants to be left alone for longer is tried nevertheless.
constexpr seconds retry_after_max{300};

constexpr std::array outcomes{"ok",     "unknown", "timeout",    "unreachable",  "tls",
                              "closed", "status",  "bad_answer", "other_entity", "busy"};
constexpr std::array query_kinds{"cached", "cached_unknown", "shared", "asked", "left_alone"};

std::string_view outcome_of(api::https_fault kind) {
  switch (kind) {
  case api::https_fault::timeout: return "timeout";
  case api::https_fault::name:
  case api::https_fault::connect: return "unreachable";
  case api::https_fault::tls: return "tls";
  case api::https_fault::closed: return "closed";
  case api::https_fault::malformed:
  case api::https_fault::oversized: return "bad_answer";
  case api::https_fault::busy:
  case api::https_fault::stopping: break;
  }
  return "busy";
}

errc code_of(api::https_fault kind) {
  return kind == api::https_fault::timeout ? errc::peer_timeout : errc::peer_closed;
}

crypto::tls_files service_files(const config::tls_files& f) {
  return {f.ca.string(), f.certificate.string(), f.key.string(), f.crl.string()};
}

}  // namespace

struct key_service::ending {
  std::string_view outcome;
  result<key_cache::known> answer;
  milliseconds leave_alone{};
};

result<std::unique_ptr<key_service>> key_service::open(const config::key_service_config& c,
                                                       std::string setting, const parts& with) {
  std::vector<entity_range> entities;
  for (const auto& text : c.entities) {
    CPNS_TRY(auto range, entity_range::parse(text));
    entities.push_back(std::move(range));
  }
  CPNS_TRY(auto url, config::parse_https_url(c.url));
  CPNS_TRY(auto tls, crypto::tls_source::for_service("server", service_files(c.tls), std::move(setting)));
  auto made = std::unique_ptr<key_service>{new key_service{c, std::move(entities), url.path, tls, with}};
  made->client_ = std::make_unique<api::https_client>(
      api::https_settings{.host = url.at.host, .port = url.at.port, .connections = c.connections},
      [tls] { return tls->context(); }, [tls](const ssl_st* ssl) { return tls->revoked(ssl); });
  return made;
}

key_service::key_service(const config::key_service_config& c, std::vector<entity_range> entities,
                         std::string path, std::shared_ptr<crypto::tls_source> tls, const parts& with)
    : name_(c.name), path_(std::move(path)), entities_(std::move(entities)), timeout_(c.timeout),
      suite_(with.suite), now_(with.now), tls_(std::move(tls)),
      seconds_(with.counted.make_histogram("cpns_server_key_service_seconds",
                                           "Time of the queries to a manufacturer's service.",
                                           metrics::seconds_buckets, {{"service", c.name}})),
      cache_({c.cache.keys, c.cache.keep, c.cache.unknown, c.cache.keep_unknown}),
      breaker_(c.breaker.failures, c.breaker.pause), tokens_(tokens_max), refilled_(with.now()) {
  for (const auto* o : outcomes)
    queries_[o] = with.counted.make_counter("cpns_server_key_service_queries_total",
                                            "Queries to a manufacturer's service by outcome.",
                                            {{"service", c.name}, {"outcome", o}});
  for (const auto* p : query_kinds)
    lookups_[p] = with.counted.make_counter(
        "cpns_server_key_service_lookups_total",
        "Requests for a Temporary Key of a manufacturer's service, by where the answer was.",
        {{"service", c.name}, {"place", p}});
}

key_service::~key_service() = default;

bool key_service::names(const entity_id& entity) const {
  return std::any_of(entities_.begin(), entities_.end(),
                     [&entity](const entity_range& r) { return r.contains(entity); });
}

found_key key_service::record_of(const entity_id& entity, const key_cache::known& known) const {
  if (!known) return std::optional<protocol::device_secret_record>{};
  protocol::device_secret_record out;
  out.entity = entity;
  out.temporary_key = *known;
  out.always_require_presence = true;
  out.from_service = true;
  out.batch = name_;
  return std::optional{std::move(out)};
}

bool key_service::take_token(time_point now) {
  const auto passed = std::chrono::duration<double>(now - refilled_).count();
  refilled_ = now;
  tokens_ = std::min(tokens_max, tokens_ + std::max(0.0, passed));
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

bool key_service::ask_again(const entity_id& entity, const secret32& wrong, done_fn done) {
  {
    const std::lock_guard lock{guard_};
    const auto now = now_();
    // Another request may have dropped the key already: then its answer is shared.
    const auto known = cache_.find(now, entity);
    if (known ? *known && **known == wrong : flights_.count(entity) == 0) {
      if (!cache_.may_drop(now, entity, wrong) || !take_token(now)) return false;
      cache_.drop(entity);
    }
  }
  log::info("server", "temporary-key-asked-again",
            "a device did not prove its presence with the key of its manufacturer's service; asking again",
            {{"entity", entity.text()}, {"service", name_}});
  ask(entity, std::move(done), true);
  return true;
}

std::string_view key_service::look_up(const entity_id& entity, done_fn& done, bool again,
                                      std::optional<key_cache::known>& known) {
  const auto now = now_();
  known = cache_.find(now, entity);
  if (known) return *known ? "cached" : "cached_unknown";
  if (const auto at = flights_.find(entity); at != flights_.end()) {
    at->second.waiting.push_back(std::move(done));
    return "shared";
  }
  if (!breaker_.may_ask(now)) return "left_alone";
  auto& f = flights_[entity];
  f.waiting.push_back(std::move(done));
  f.again = again;
  f.began = std::chrono::steady_clock::now();
  return "asked";
}

void key_service::ask(const entity_id& entity, done_fn done, bool again) {
  std::optional<key_cache::known> known;
  std::string_view place;
  {
    const std::lock_guard lock{guard_};
    place = look_up(entity, done, again, known);
  }
  lookups_.find(place)->second.add();
  if (known) return done(record_of(entity, *known));
  if (place == "left_alone")
    return done(fail(errc::peer_closed,
                     "the service " + name_ + " of the manufacturer failed and is left alone for a time"));
  if (place == "asked")
    client_->get(path_ + key_target(entity), timeout_,
                 [this, entity](api::https_outcome outcome) { finish(entity, std::move(outcome)); });
}

key_service::ending key_service::read(const entity_id& entity, api::https_outcome outcome) const {
  if (!outcome) {
    const auto& f = outcome.error();
    return {outcome_of(f.kind), fail(code_of(f.kind), f.why)};
  }
  constexpr unsigned good = 200, not_found = 404, too_many = 429, not_now = 503;
  if (outcome->status == not_found) return {"unknown", key_cache::known{}};
  if (outcome->status != good) {
    const bool waits = outcome->status == too_many || outcome->status == not_now;
    const auto wait =
        waits ? std::min(outcome->retry_after.value_or(seconds{0}), retry_after_max) : seconds{0};
    return {"status",
            fail(errc::peer_bad_state,
                 "it answers with HTTP status " + std::to_string(outcome->status) +
                     (wait > seconds{0} ? " and asks for a pause of " + std::to_string(wait.count()) + " s"
                                        : "")),
            wait};
  }
  auto key = read_key_answer(suite_, entity, outcome->type, std::move(outcome->body));
  if (key) return {"ok", key_cache::known{*std::move(key)}};
  return {key.error() == errc::peer_identity ? "other_entity" : "bad_answer", fail(std::move(key).error())};
}

/// Counts and logs the end of a query.
void key_service::judge(const ending& how) {
  const auto now = now_();
  queries_.find(how.outcome)->second.add();
  if (how.answer) {
    const bool was_alone = breaker_.state() != circuit_breaker::state_t::closed;
    breaker_.succeeded();
    const bool was_logged = failure_line_.over();
    if (was_alone || was_logged)
      log::info("server", "key-service-works", "the service of a manufacturer answers again",
                {{"service", name_}});
    return;
  }
  if (how.outcome == "busy") return breaker_.abandoned(now);
  last_failure_ = how.answer.error().detail;
  failed_at_ = now;
  const bool opened = breaker_.failed(now, how.leave_alone);
  if (failure_line_.due(now, last_failure_))
    log::warn("server", "key-service-failed",
              "a query to the service of a manufacturer failed: " + last_failure_,
              {{"service", name_}, {"outcome", std::string{how.outcome}}});
  if (opened)
    log::error(
        "server", "key-service-left-alone",
        "the service of a manufacturer failed too often; until it answers, devices without a key in memory "
        "get none",
        {{"service", name_}, {"until", rfc3339_text(breaker_.until())}});
}

void key_service::finish(const entity_id& entity, api::https_outcome outcome) {
  auto how = read(entity, std::move(outcome));
  flight f;
  {
    const std::lock_guard lock{guard_};
    f = std::move(flights_.extract(entity).mapped());
    judge(how);
    if (how.answer) cache_.put(now_(), entity, *how.answer, f.again);
  }
  seconds_.observe(std::chrono::steady_clock::now() - f.began);
  const auto found =
      how.answer
          ? record_of(entity, *how.answer)
          : found_key{fail(how.answer.error().code,
                           "the service " + name_ + " of the manufacturer: " + how.answer.error().detail)};
  for (const auto& done : f.waiting) done(found);
}

boost::json::object key_service::view() const {
  const std::lock_guard lock{guard_};
  boost::json::object out{{"breaker", name_of(breaker_.state())},
                          {"failures", breaker_.failures()},
                          {"keys", cache_.keys()},
                          {"unknown", cache_.unknown()},
                          {"last_failure", nullptr}};
  if (!last_failure_.empty())
    out["last_failure"] = boost::json::object{{"at", rfc3339_text(failed_at_)}, {"why", last_failure_}};
  return out;
}

void key_service::collect(metrics::sheet& to) const {
  const std::lock_guard lock{guard_};
  to.gauge("cpns_server_key_service_breaker",
           "0: the service is asked, 1: it is left alone, 2: one query tries it.",
           static_cast<double>(breaker_.state()), {{"service", name_}});
  to.gauge("cpns_server_key_service_keys", "Temporary Keys of the service in memory.",
           static_cast<double>(cache_.keys()), {{"service", name_}});
  to.gauge("cpns_server_key_service_unknown", "Entity IDs that are remembered as unknown to the service.",
           static_cast<double>(cache_.unknown()), {{"service", name_}});
}

}  // namespace cpns::server
