#pragma once
// The programs that say when they have a key, and the devices that wait for them.

#include <boost/json/array.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "actors/application_keys/key_changes.hpp"
#include "actors/application_keys/purposes.hpp"
#include "api/access.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"

namespace cpns::actors {

/// A program that takes a new key later than the PNE does refuses the PNE. So before a gateway sends a key it waits until the programs
/// that acknowledge have acknowledged it; but a program that is dead, slow or hostile must not stop a renewal, and one that is slow again
/// and again must not delay each of them. [thread-safe]
class consumers {
 public:
  /// A program that lets this many waits in a row end, or ends itself in them, is slow: nobody waits for it until it has acknowledged
  /// the last of them. That outlives its watch for `remembered`.
  static constexpr unsigned missed_max = 3;
  static constexpr seconds remembered{600};

  /// `component`: of its log lines. `changes` outlives the object. `expected`: for so long after the start of the role programs of
  /// its last run may come back.
  consumers(std::string component, const key_changes& changes, milliseconds expected = {})
      : component_(std::move(component)), changes_(changes), expected_until_(now_anchored() + expected) {}
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
  /// Waits until the present keys of the device are acknowledged; nullptr: they are, or there is nobody to wait for. `renewal`: its
  /// programs have keys of the last run, so while there are no programs, and they are expected, it waits for the first one that comes.
  /// `ready` is called once, on any thread, unless the wait was dropped; it must not block, and a call that has begun may come after that.
  [[nodiscard]] std::unique_ptr<wait> wait_for(const entity_id& device, bool renewal,
                                               std::function<void()> ready);

  /// The role ends: nobody who waits, or will wait, goes on because a program ends. Otherwise PNEs would get keys that no program
  /// knows until the role is back.
  void close();

  /// For people: a row per watch.
  [[nodiscard]] boost::json::array describe() const;

 private:
  struct member {
    const purpose* of = nullptr;
    uid_t user = 0;
    std::string text;         ///< for people
    std::uint64_t begun = 0;  ///< the newest change when its watch began, which it reads as a whole
    std::uint64_t sent = 0, acknowledged = 0;
    unsigned missed = 0;  ///< waits in a row
    std::uint64_t behind =
        0;  ///< slow, until this change of the last wait that it missed is acknowledged; 0: not slow
    std::multimap<std::uint64_t, std::uint64_t>
        waits;  ///< the change that is to be acknowledged, and the number of the wait
  };
  struct waiting {
    entity_id device;
    std::map<std::string, std::uint64_t>
        missing;  ///< ids of members, and the change in their `waits`; empty: any
    std::function<void()> ready;
  };
  /// Of programs of one user and purpose whose last watch has ended: one that connects again and again must not be waited for each time.
  struct former {
    unsigned missed = 0;
    bool slow = false;
    time_point until;
  };
  using calls = std::vector<std::function<void()>>;

  void leave(const std::string& id);
  void sent(const std::string& id, std::uint64_t revision);
  void forget(std::uint64_t number);
  std::string give_up(std::uint64_t number);
  void miss(const std::string& id, member& m, std::uint64_t change, calls& out);
  static void erase_wait(member& m, std::uint64_t change, std::uint64_t number);
  void satisfy(const std::string& id, std::uint64_t number, calls& out);
  void release(const std::string& id, member& m, calls& out);
  [[nodiscard]] static std::string describe(const member& m);

  const std::string component_;
  const key_changes& changes_;
  const time_point expected_until_;
  mutable std::mutex guard_;
  std::map<std::string, member, std::less<>> members_;
  std::map<std::uint64_t, waiting> waits_;
  std::map<std::pair<uid_t, std::string>, former> former_;
  std::uint64_t next_wait_ = 1;
  bool closed_ = false;
};

}  // namespace cpns::actors
