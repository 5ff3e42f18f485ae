#pragma once
// A role's events for the readers of GET /v1/events.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/log.hpp"

namespace cpns::api {

/// A reader that is slow must cost the role neither memory nor time. So the hub keeps one ring of the last events for
/// all readers; each reader only remembers its place, and is cut off when the ring has passed it. [thread-safe]
class event_hub {
 public:
  static constexpr std::size_t events_max = 4096;
  static constexpr std::size_t bytes_max = 2 * 1024 * 1024;

  /// `run` names this run of the role in the ids of events, so that an id of an earlier run is not mistaken for one of
  /// this run: letters and digits.
  explicit event_hub(std::string run) : run_(std::move(run)) {}

  /// Adds an event and wakes the readers. `data`: one line of JSON. Its id is RUN-NUMBER; numbers count from 1.
  void publish(std::string_view name, std::string_view data);
  /// The same with a line of the log, which is formatted when a reader gets it.
  void publish(log::packed_line line);

  /// What a reader gets next.
  struct batch {
    std::string text;        ///< events in the format of server-sent events
    std::uint64_t last = 0;  ///< the id of the newest of them
    bool cut_off = false;    ///< events after the reader's place are gone
  };
  /// The events after `place`, as many as fit into `bytes`, at least one if there is any.
  [[nodiscard]] batch after(std::uint64_t place, std::size_t bytes) const;
  /// The id of the newest event; 0: none yet.
  [[nodiscard]] std::uint64_t newest() const;
  /// The place that the id of an event names, if the ring still has everything after it.
  [[nodiscard]] std::optional<std::uint64_t> place_of(std::string_view id) const;
  /// The id that place_of reads.
  [[nodiscard]] std::string id_of(std::uint64_t number) const { return run_ + "-" + std::to_string(number); }

  /// `wake` is called, on the thread that publishes, after each event until the ticket is dropped. It must not block
  /// and must not call the hub.
  using ticket = std::shared_ptr<void>;
  [[nodiscard]] ticket listen(std::function<void()> wake);

 private:
  /// An event in the format of server-sent events, or a line that is not formatted.
  struct entry {
    std::uint64_t id;
    std::variant<std::string, log::packed_line> what;
    [[nodiscard]] std::size_t size() const;
  };
  struct listeners;
  /// The rest of publish(), with the guard held.
  std::shared_ptr<listeners> add(entry e);
  static void wake_all(const std::shared_ptr<listeners>& them);
  [[nodiscard]] std::string text_of(entry e) const;
  const std::string run_;
  mutable std::mutex guard_;
  std::deque<entry> ring_;
  std::size_t bytes_ = 0;
  std::uint64_t next_ = 1;
  std::shared_ptr<listeners> listeners_;
};

/// One event in the format of server-sent events; `data` is one line. Without an id if it is empty.
std::string event_text(std::string_view id, std::string_view name, std::string_view data);

}  // namespace cpns::api
