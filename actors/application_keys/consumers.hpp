#pragma once
// The programs that say when they have a key, and the devices that wait for them.

#include <boost/json/array.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "actors/application_keys/key_changes.hpp"
#include "actors/application_keys/purposes.hpp"
#include "api/access.hpp"
#include "base/ids.hpp"

namespace cpns::actors {

/// A program that takes a new key later than the PNE does refuses the PNE. So before a gateway sends a key it waits until the programs
/// that acknowledge have acknowledged it; but a program that is dead, slow or hostile must not stop a renewal, and one that is slow again
/// and again must not delay each of them. [thread-safe]
class consumers {
 public:
  /// A program that lets this many waits in a row end is slow: nobody waits for it until it has acknowledged the last of them.
  static constexpr unsigned missed_max = 3;

  /// `component`: of its log lines. `changes` outlives the object.
  consumers(std::string component, const key_changes& changes)
      : component_(std::move(component)), changes_(changes) {}
  consumers(const consumers&) = delete;
  consumers& operator=(const consumers&) = delete;

  /// A watch, for as long as this lives. It does not outlive the object, nor `purpose` the watch.
  class membership {
   public:
    ~membership() { all_.leave(id_); }
    membership(const membership&) = delete;
    membership& operator=(const membership&) = delete;
    /// Random, 16 hexadecimal digits.
    [[nodiscard]] const std::string& id() const { return id_; }
    /// The program has got all changes up to this one.
    void sent(std::uint64_t revision) { all_.sent(id_, revision); }

   private:
    friend class consumers;
    membership(consumers& all, std::string id) : all_(all), id_(std::move(id)) {}
    consumers& all_;
    const std::string id_;
  };
  [[nodiscard]] std::unique_ptr<membership> join(const purpose& p, const api::peer& who);

  enum class answer : std::uint8_t { done, no_such_watch, not_sent_yet };
  /// All changes up to `revision` are in force. Calls what waits for it, on this thread. Only the user of the watch may.
  answer acknowledge(const std::string& watch, const std::string& purpose_name, uid_t user,
                     std::uint64_t revision);

  /// The wait of a device, until it is dropped.
  class wait {
   public:
    ~wait() { all_.forget(number_); }
    wait(const wait&) = delete;
    wait& operator=(const wait&) = delete;
    /// The wait was too long. Returns the programs that have not acknowledged, as text; empty: they just did.
    [[nodiscard]] std::string give_up() { return all_.give_up(number_); }

   private:
    friend class consumers;
    wait(consumers& all, std::uint64_t number) : all_(all), number_(number) {}
    consumers& all_;
    const std::uint64_t number_;
  };
  /// Waits until the present keys of the device are acknowledged; nullptr: they are, or there is nobody to wait for. `ready` is called
  /// once, on any thread, unless the wait was dropped; it must not block, and a call that has begun may come after that.
  [[nodiscard]] std::unique_ptr<wait> wait_for(const entity_id& device, std::function<void()> ready);

  /// For people: a row per watch.
  [[nodiscard]] boost::json::array describe() const;

 private:
  struct member {
    const purpose* of = nullptr;
    uid_t user = 0;
    std::string text;  ///< for people
    std::uint64_t sent = 0, acknowledged = 0;
    unsigned missed = 0;       ///< waits in a row
    std::uint64_t behind = 0;  ///< slow, until this change is acknowledged; 0: not slow
    std::multimap<std::uint64_t, std::uint64_t>
        waits;  ///< the change that is to be acknowledged, and the number of the wait
  };
  struct waiting {
    entity_id device;
    std::set<std::string> missing;  ///< ids of members
    std::function<void()> ready;
  };
  using calls = std::vector<std::function<void()>>;

  void leave(const std::string& id);
  void sent(const std::string& id, std::uint64_t revision);
  void forget(std::uint64_t number);
  std::string give_up(std::uint64_t number);
  void satisfy(const std::string& id, std::uint64_t number, calls& out);
  void release(const std::string& id, member& m, calls& out);
  [[nodiscard]] static std::string describe(const member& m);

  const std::string component_;
  const key_changes& changes_;
  mutable std::mutex guard_;
  std::map<std::string, member, std::less<>> members_;
  std::map<std::uint64_t, waiting> waits_;
  std::uint64_t next_wait_ = 1;
};

}  // namespace cpns::actors
