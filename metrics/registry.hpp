#pragma once
// The metrics of a role: handles that its parts count with, and the text that Prometheus reads. The only module that
// includes prometheus-cpp. docs/operations/monitoring.md has all metrics.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace cpns::metrics {

/// {{"outcome", "ok"}}. Each set of values is a time series of its own, so values come from a list that the program has:
/// never an Entity ID, a user, a gateway or an address.
using labels = std::map<std::string, std::string>;

// Handles. A handle that was made by default counts nothing, so that a part needs no registry in tests. A copy counts for
// the same series. The registry outlives them. [thread-safe]

/// Only grows.
class counter {
 public:
  counter() = default;
  void add(std::uint64_t n = 1) const noexcept;

 private:
  friend class registry;
  explicit counter(prometheus::Counter* to) : to_(to) {}
  prometheus::Counter* to_ = nullptr;
};

class gauge {
 public:
  gauge() = default;
  void set(double value) const noexcept;
  void add(double value) const noexcept;

 private:
  friend class registry;
  explicit gauge(prometheus::Gauge* to) : to_(to) {}
  prometheus::Gauge* to_ = nullptr;
};

/// Adds one to a gauge for as long as it lives. Movable. Not thread-safe.
class presence {
 public:
  presence() = default;
  explicit presence(gauge in) : in_(in) { in_.add(1); }
  presence(presence&& other) noexcept : in_(std::exchange(other.in_, {})) {}
  presence& operator=(presence&& other) noexcept {
    in_.add(-1);
    in_ = std::exchange(other.in_, {});
    return *this;
  }
  ~presence() { in_.add(-1); }

 private:
  gauge in_;
};

/// Counts values by size.
class histogram {
 public:
  histogram() = default;
  void observe(double value) const;
  /// In seconds.
  void observe(std::chrono::nanoseconds time) const { observe(std::chrono::duration<double>(time).count()); }

 private:
  friend class registry;
  explicit histogram(prometheus::Histogram* to) : to_(to) {}
  prometheus::Histogram* to_ = nullptr;
};

/// Upper bounds of the buckets, in seconds: from a hash to a disk that hangs.
inline const std::vector<double> seconds_buckets{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                 0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};

/// Values at the moment of a scrape, of parts that count by themselves. Used by one thread.
class sheet {
 public:
  sheet();
  ~sheet();
  sheet(const sheet&) = delete;
  sheet& operator=(const sheet&) = delete;

  /// Adds a series. The help of the first series of a name counts.
  void counter(const std::string& name, const std::string& help, double value, const labels& of = {});
  void gauge(const std::string& name, const std::string& help, double value, const labels& of = {});

 private:
  friend class registry;
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// A role has one; there is none for the process, because `cpns demo` runs several roles in one. [thread-safe]
class registry {
 public:
  registry();
  ~registry();
  registry(const registry&) = delete;
  registry& operator=(const registry&) = delete;

  /// Creates a series, at 0. Names follow Prometheus: base units, and _total at the end of a counter. A second call
  /// with the same name and labels gives the same series.
  counter make_counter(const std::string& name, const std::string& help, const labels& of = {});
  gauge make_gauge(const std::string& name, const std::string& help, const labels& of = {});
  histogram make_histogram(const std::string& name, const std::string& help,
                           const std::vector<double>& bounds, const labels& of = {});

  /// `fill` is called with each text(), on its thread; it may block for a second. All that it uses outlives the last
  /// call of text(). No name may be one of a handle.
  void collect(std::function<void(sheet&)> fill);

  /// The text format 0.0.4 of Prometheus.
  [[nodiscard]] std::string text() const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::metrics
