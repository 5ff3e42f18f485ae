#include "actors/application_keys/key_routes.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "actors/application_keys/key_log.hpp"
#include "actors/application_keys/key_text.hpp"
#include "api/body.hpp"
#include "base/text.hpp"
#include "protocol/application_identity.hpp"

namespace cpns::actors {
namespace {

constexpr std::size_t part_size = std::size_t{48} * 1024;
constexpr std::uint32_t retry_after_search = 1;  // seconds

/// Users that search at present. [thread-safe]
class searches {
 public:
  using place = std::shared_ptr<void>;
  /// nullptr: the user has one already.
  place begin(uid_t user) {
    const std::lock_guard lock{guard_};
    if (!of_.insert(user).second) return nullptr;
    return {this, [this, user](void*) {
              const std::lock_guard held{guard_};
              of_.erase(user);
            }};
  }

 private:
  std::mutex guard_;
  std::set<uid_t> of_;
};

class key_service {
 public:
  explicit key_service(key_route_parts parts) : parts_(std::move(parts)), log_(parts_.component) {}

  /// The purpose, if the process may have its keys.
  api::checked<const purpose*> purpose_for(const api::request& r) {
    const auto& name = r.at("purpose");
    const auto* p = parts_.known->find(name);
    if (p == nullptr)
      return api::refuse(404, "no-such-purpose",
                         "this role has no purpose " + shown(name) +
                             "; a purpose is a member of application_keys.purposes in its YAML file",
                         "application_keys.purposes");
    if (p->allows(r.from.process)) return p;
    auto why = r.from.text() + " gets no keys of the purpose " + p->name +
               ": name its user or one of its groups in " + p->setting("allow") + " of the YAML file";
    log_.refused(r.from, p->name, why);
    return api::refuse(403, "keys-not-allowed", std::move(why), p->setting("allow"));
  }
  api::checked<void> check_covered(const purpose& p, const entity_id& entity) {
    if (p.covers(entity)) return {};
    return api::refuse(403, "device-not-allowed",
                       "the purpose " + p.name + " gives no keys of " + entity.text() + ": add it to " +
                           p.setting("entities") + " of the YAML file",
                       p.setting("entities"));
  }
  /// A device with at least one key.
  api::checked<offered_device> device_of(const entity_id& entity) {
    CPNS_TRY(auto found, parts_.offered->find(entity));
    if (!found) return api::refuse(404, "no-key-yet", "this role has no key of a device " + entity.text());
    if (found->keys.empty())
      return api::refuse(404, "no-key-yet", entity.text() + ": " + std::string{meaning_of(found->why_none)});
    return std::move(*found);
  }

  const crypto::suite& suite() const { return *parts_.suite; }
  const offered_keys& offered() const { return *parts_.offered; }
  key_changes& changes() const { return *parts_.changes; }
  consumers& programs() const { return *parts_.programs; }
  key_log& log() { return log_; }
  searches& running() { return running_; }
  [[nodiscard]] bool ends() const { return parts_.ending && *parts_.ending; }

 private:
  const key_route_parts parts_;
  key_log log_;
  searches running_;
};

using service = std::shared_ptr<key_service>;

api::response whole(key_document& d) {
  d.end(0);
  api::response out;
  out.body = d.take();
  out.secret = true;
  return out;
}

/// All keys of a purpose, a page of the store for each part.
class snapshot final : public api::part_source {
 public:
  snapshot(service s, const purpose& p)
      : service_(std::move(s)), purpose_(p), document_(service_->suite(), p, shown_keys::with_key) {}

  result<std::string> next() override {
    if (over_) return std::string{};
    if (!begun_) document_.begin();
    begun_ = true;
    for (std::size_t pages = 0; !over_ && pages < pages_per_part; ++pages) {
      CPNS_TRY(const auto page, service_->offered().read_page(after_, [this](const offered_device& d) {
        if (purpose_.covers(d.entity))
          for (const auto& k : d.keys) document_.add(d.entity, k);
      }));
      unreadable_ += page.unreadable;
      over_ = !page.next;
      if (page.next) after_ = *page.next;
      if (document_.size() >= part_size) break;
    }
    if (over_) document_.end(unreadable_);
    return document_.take();
  }

 private:
  /// A part with few keys must not keep its worker for long.
  static constexpr std::size_t pages_per_part = 32;
  const service service_;
  const purpose& purpose_;  ///< of service_
  key_document document_;
  std::string after_;
  std::size_t unreadable_ = 0;
  bool begun_ = false, over_ = false;
};

/// Up to where a program has read.
struct watch_place {
  std::string run;  ///< of the purpose
  std::uint64_t revision = 0;
};

/// The keys of all devices as lines, then those of each device when they change. A device has one line with all its keys,
/// so no line has to be remembered to know what is gone.
class watch final : public api::part_source {
 public:
  /// `acknowledging`: of a program that says when it has the keys, or nullptr. `since`: of a program that has the keys of a watch
  /// before.
  watch(service s, const purpose& p, std::unique_ptr<consumers::membership> acknowledging,
        const std::optional<watch_place>& since)
      : service_(std::move(s)), purpose_(p), document_(service_->suite(), p, shown_keys::with_key),
        acknowledging_(std::move(acknowledging)), target_(service_->changes().newest()), place_(target_) {
    const bool known = since && since->run == p.run && service_->changes().knows_from(since->revision);
    if (known) {
      place_ = since->revision;
      at_ = stage::gap;
    }
    if (acknowledging_) document_.begun(acknowledging_->id(), place_);
    if (since) document_.mark(known ? "resumed" : "resync", place_);
  }

  [[nodiscard]] bool goes_on() const override { return true; }
  std::shared_ptr<void> listen(std::function<void()> wake) override {
    return service_->changes().listen(std::move(wake));
  }
  [[nodiscard]] bool drained() const override { return drained_; }
  /// A gateway that renews many keys at a time has some changes in each part, and one acknowledgement for all of them.
  [[nodiscard]] std::chrono::milliseconds gathers() const override { return std::chrono::milliseconds{10}; }
  result<std::string> next() override {
    drained_ = false;
    CPNS_CHECK(at_ == stage::list ? add_page() : add_changes());
    if (at_ == stage::gap && place_ >= target_) {
      at_ = stage::changes;
      document_.synced(std::nullopt, place_);
    }
    if (at_ == stage::changes && acknowledging_) acknowledging_->sent(place_);
    return document_.take();
  }
  std::string heartbeat() override {
    document_.mark("heartbeat", place_);
    return document_.take();
  }

 private:
  static constexpr std::size_t changes_per_part = 64;
  /// All devices; or those that changed since the watch before; then each change.
  enum class stage : std::uint8_t { list, gap, changes };

  status add_page() {
    CPNS_TRY(const auto page, service_->offered().read_page(after_, [this](const offered_device& d) {
      if (purpose_.covers(d.entity) && !d.keys.empty()) document_.put(d, place_);
    }));
    unreadable_ += page.unreadable;
    if (page.next) {
      after_ = *page.next;
      if (document_.size() == 0)
        document_.mark("progress", place_);  // an empty part would mean that nothing is new
      return {};
    }
    at_ = stage::changes;
    document_.synced(unreadable_, place_);
    return {};
  }
  status add_changes() {
    const auto batch = service_->changes().after(place_, changes_per_part);
    if (batch.lost) {
      place_ = service_->changes().newest();
      after_.clear();
      unreadable_ = 0;
      at_ = stage::list;
      document_.mark("resync", place_);
      return {};
    }
    drained_ = batch.changes.size() < changes_per_part;
    const bool any = batch.last != place_;
    for (const auto& [entity, number] : batch.changes) {
      place_ = number;
      if (!purpose_.covers(entity)) continue;
      const auto found = service_->offered().find(entity);
      if (!found && !is_unreadable(found.error())) return fail(found.error());
      if (!found)
        document_.gone(entity, gone_reason::unreadable, place_);
      else if (!*found)
        document_.gone(entity, gone_reason::forgotten, place_);
      else if ((*found)->keys.empty())
        document_.gone(entity, (*found)->why_none, place_);
      else
        document_.put(**found, place_);
    }
    place_ = batch.last;
    if (any && document_.size() == 0) document_.mark("progress", place_);
    return {};
  }

  const service service_;
  const purpose& purpose_;  ///< of service_
  key_document document_;
  const std::unique_ptr<consumers::membership> acknowledging_;
  const std::uint64_t target_;  ///< the newest change when it began: a reader that has it is not behind
  std::uint64_t place_;         ///< of the last change that was sent
  std::string after_;
  std::size_t unreadable_ = 0;  ///< of the pages since the beginning, or the last `resync`
  stage at_ = stage::list;
  bool drained_ = false;
};

/// nullopt: the parameter is left out.
api::checked<std::optional<watch_place>> since_of(const api::request& r) {
  const auto text = api::text_parameter(r, "since");
  if (text.empty()) return std::optional<watch_place>{};
  const auto dot = text.find('.');
  watch_place out{text.substr(0, dot), 0};
  const auto number = dot == std::string::npos ? std::string{} : text.substr(dot + 1);
  const char* const end = number.data() + number.size();
  const auto read = std::from_chars(number.data(), end, out.revision);
  if (number.empty() || read.ec != std::errc{} || read.ptr != end)
    return api::refuse(400, "out-of-range",
                       "'since' must be RUN.REVISION: 'run' of the line \"synced\" of the watch before, and "
                       "'revision' of its last line",
                       "since");
  return std::optional{std::move(out)};
}

api::outcome read_all(const service& s, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {"watch", "acks", "since"}));
  for (const auto* name : {"watch", "acks"})
    if (const auto value = api::text_parameter(r, name); !value.empty() && value != "true")
      return api::refuse(400, "out-of-range", "'" + std::string{name} + "' must be 'true', or be left out",
                         name);
  const bool watched = !api::text_parameter(r, "watch").empty();
  const bool acknowledges = !api::text_parameter(r, "acks").empty();
  if (acknowledges && !watched)
    return api::refuse(400, "out-of-range", "'acks' is for a watch: add 'watch=true'", "acks");
  CPNS_TRY(const auto since, since_of(r));
  if (since && !watched)
    return api::refuse(400, "out-of-range", "'since' is for a watch: add 'watch=true'", "since");
  CPNS_TRY(const auto* p, s->purpose_for(r));
  s->log().read(r, p->name, "all devices");
  api::response out;
  if (!watched) {
    out.parts = std::make_shared<snapshot>(s, *p);
  } else {
    out.type = "application/x-ndjson";
    out.parts =
        std::make_shared<watch>(s, *p, acknowledges ? s->programs().join(*p, r.from) : nullptr, since);
  }
  return out;
}

/// Of a watch with `acks`.
api::outcome acknowledge(const service& s, const api::request& r) {
  CPNS_TRY(const auto* p, s->purpose_for(r));
  CPNS_TRY(const auto body, api::json_body::read(r, {"watch", "revision"}));
  CPNS_TRY(const auto name, body.text("watch", 64));
  CPNS_TRY(const auto revision, body.number("revision", 0, std::numeric_limits<std::int64_t>::max()));
  switch (s->programs().acknowledge(name, p->name, r.from.process.uid, revision)) {
  case consumers::answer::done: break;
  case consumers::answer::no_such_watch:
    return api::refuse(404, "no-such-watch",
                       "no watch " + shown(name) + " of your user for the purpose " + p->name +
                           " is open: its name is in the line \"begun\" of a watch with acks=true",
                       "watch");
  case consumers::answer::not_sent_yet:
    return api::refuse(
        400, "out-of-range",
        "'revision' " + std::to_string(revision) +
            " was not sent to this watch yet: acknowledge that of the line \"synced\", or of a "
            "later line",
        "revision");
  }
  return api::empty_response();
}

api::outcome read_device(const service& s, const api::request& r, shown_keys as) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(const auto* p, s->purpose_for(r));
  CPNS_TRY(const auto entity, api::in_field(entity_id::parse(r.at("entity")), "entity"));
  CPNS_CHECK(s->check_covered(*p, entity));
  CPNS_TRY(const auto device, s->device_of(entity));
  if (as == shown_keys::with_key) s->log().read(r, p->name, entity.text());
  key_document d(s->suite(), *p, as);
  d.begin();
  for (const auto& k : device.keys) d.add(entity, k);
  return whole(d);
}

struct named_key {
  entity_id entity;
  offered_key key;
};

/// Of a readable identity.
api::checked<std::optional<named_key>> key_named(const service& s, const purpose& p,
                                                 const std::string& text) {
  const auto name = protocol::read_readable_identity(text);
  if (!name || name->purpose != p.name) return std::optional<named_key>{};
  CPNS_CHECK(s->check_covered(p, name->entity));
  CPNS_TRY(const auto found, s->offered().find(name->entity));
  if (found)
    for (const auto& k : found->keys)
      if (k.which == name->which) return std::optional{named_key{name->entity, k}};
  return std::optional<named_key>{};
}

/// Of an opaque identity: it is compared with those of all keys. That reads every record, so a user has one search at a
/// time.
api::checked<std::optional<named_key>> key_searched(const service& s, const purpose& p,
                                                    const std::string& text, uid_t user) {
  const auto place = s->running().begin(user);
  if (!place) {
    api::problem busy{
        503, "too-many-at-once",
        "nothing was done: a look-up by opaque identity reads all records, so the role works on "
        "one of your user at a time; try again later"};
    busy.retry_after = retry_after_search;
    return tl::unexpected<api::problem>(std::move(busy));
  }
  std::optional<named_key> out;
  std::string after;
  for (;;) {
    CPNS_TRY(const auto page, s->offered().read_page(after, [&](const offered_device& d) {
      if (out || !p.covers(d.entity)) return;
      for (const auto& k : d.keys)
        if (identity_of(s->suite(), p, d.entity, k) == text) out = named_key{d.entity, k};
    }));
    if (out || !page.next) return out;
    if (s->ends()) return fail(errc::peer_closed, "the role ends");
    after = *page.next;
  }
}

api::outcome read_identity(const service& s, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(const auto* p, s->purpose_for(r));
  const auto& text = r.at("identity");
  const bool opaque = p->identity == config::identity_form::opaque;
  CPNS_TRY(const auto found, opaque ? key_searched(s, *p, text, r.from.process.uid) : key_named(s, *p, text));
  if (!found)
    return api::refuse(404, "no-such-identity",
                       "no key that is in use has the identity " + shown(text) + " for the purpose " +
                           p->name);
  s->log().read(r, p->name, found->entity.text());
  key_document d(s->suite(), *p, shown_keys::with_key);
  d.begin();
  d.add(found->entity, found->key);
  return whole(d);
}

}  // namespace

std::vector<api::route> key_routes(key_route_parts parts) {
  const auto s = std::make_shared<key_service>(std::move(parts));
  using enum shown_keys;
  const auto get = [](std::string path, api::handler handle) {
    return api::route{.verb = api::verb::get,
                      .path = std::move(path),
                      .needs = api::level::nobody,  // the handler asks the purpose
                      .handle = std::move(handle),
                      .body_max = 0};
  };
  api::route acks{.verb = api::verb::post,
                  .path = "/v1/keys/{purpose}/acks",
                  .needs = api::level::nobody,
                  .handle = [s](const api::request& r) { return acknowledge(s, r); },
                  .body_max = 1024,
                  .action = "keys.acknowledge"};  // no key socket has an audit trail
  acks.needs_store = false;
  return {
      std::move(acks), get("/v1/keys/{purpose}", [s](const api::request& r) { return read_all(s, r); }),
      get("/v1/keys/{purpose}/{entity}", [s](const api::request& r) { return read_device(s, r, with_key); }),
      get("/v1/fingerprints/{purpose}/{entity}",
          [s](const api::request& r) { return read_device(s, r, fingerprint_alone); }),
      get("/v1/identities/{purpose}/{identity}", [s](const api::request& r) { return read_identity(s, r); })};
}

}  // namespace cpns::actors
