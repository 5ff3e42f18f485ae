#pragma once
// Messages between a role and the process of one of its radios, over a SOCK_SEQPACKET socket pair. A packet is a
// head of 4 bytes and records; a record is its kind, the size of its body, and the body; little-endian. The child
// is not trusted: this file checks the form of every report, link_book.hpp its meaning.

#include <deque>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/log.hpp"
#include "plugins/host/transport.hpp"

namespace cpns::plugins::isolation {

inline constexpr std::uint8_t wire_version = 1;
inline constexpr std::size_t packet_max = 32 * 1024;  ///< bytes
inline constexpr std::size_t message_max = 1024;      ///< bytes of one message on a link
inline constexpr std::size_t address_max = 200;       ///< bytes; the host cuts addresses of plugins to this
inline constexpr std::size_t text_max = 1200;         ///< bytes of a reason or a log line
inline constexpr std::size_t parameter_max = 8192;    ///< bytes of a parameter's value, or of a path

// From the role to the child. Views point into the packet that they were read from.
struct open_command {
  transport_role role = transport_role::central;
  log::level level = log::level::info;  ///< lowest level that the role's log accepts
  std::string plugin;                   ///< path
  std::map<std::string, std::string> params;
};
struct scan_command {
  bool on = false;
};
struct connect_command {
  std::string address;
};
struct cancel_command {
  std::string address;
};
struct add_command {
  endpoint_id endpoint = 0;
  std::string name;
};
struct remove_command {
  endpoint_id endpoint = 0;
};
struct send_command {
  link_id link = 0;
  byte_view message;
};
struct disconnect_command {
  link_id link = 0;
};
struct ping_command {
  std::uint64_t number = 0;
  log::level level = log::level::info;
};
struct close_command {};
struct power_command {
  power_level power = power_level::full;
};
struct forget_command {
  std::string address;
};
using command = std::variant<open_command, scan_command, connect_command, cancel_command, add_command,
                             remove_command, send_command, disconnect_command, ping_command, close_command,
                             power_command, forget_command>;

// From the child to the role. Link ids are the child's.
struct opened_report {
  transport_info info;
};
/// The plugin could not be opened; the child ends.
struct refused_report {
  errc code = errc::plugin_failed;
  std::string detail;
  std::string parameter;  ///< the one that caused it; empty: none
};
struct up_report {
  link_id link = 0;
  endpoint_id endpoint = 0;
  std::string address;
};
struct down_report {
  link_id link = 0;
  std::string reason;
};
struct message_report {
  link_id link = 0;
  byte_view message;
};
struct found_report {
  std::string address;
  std::int32_t rssi = 0;
};
/// A connect ended without a link.
struct connect_failed_report {
  std::string address, why;
};
/// The plugin called failed().
struct failed_report {
  std::string detail;
};
/// This many more messages for the link were passed to the plugin, or dropped because the link is gone.
struct taken_report {
  link_id link = 0;
  std::uint32_t messages = 0;
};
/// A command failed. If `endpoint` is not 0, that endpoint is not presented.
struct call_failed_report {
  endpoint_id endpoint = 0;
  std::string detail;
};
struct log_report {
  log::level level = log::level::info;
  std::string event, text;
};
struct pong_report {
  std::uint64_t number = 0;
};
/// The peer at this address woke up.
struct woke_report {
  std::string address;
};
/// Current quality of a link.
struct quality_report {
  link_id link = 0;
  link_quality quality;
};
/// All counters of the child's transport.
struct counters_report {
  std::vector<named_counter> counters;
};
using report =
    std::variant<opened_report, refused_report, up_report, down_report, message_report, found_report,
                 connect_failed_report, failed_report, taken_report, call_failed_report, log_report,
                 pong_report, woke_report, quality_report, counters_report>;

/// A queue of records, packed into as few packets as possible.
class packets {
 public:
  /// wire_oversized, and nothing is added, if the record is too long for a packet.
  status add(const command& c);
  status add(const report& r);
  [[nodiscard]] bool empty() const { return done_.empty(); }
  [[nodiscard]] std::size_t bytes_held() const { return held_; }
  /// Removes and returns the oldest packet. Must not be empty.
  bytes take();
  void clear();

 private:
  void begin_packet();
  template <class Record>
  status add_record(const Record& r);
  std::deque<bytes> done_;
  std::size_t held_ = 0;
};

/// All records of one packet; wire_... if any byte is invalid.
result<std::vector<command>> read_commands(byte_view packet);
result<std::vector<report>> read_reports(byte_view packet);

/// The first `most` bytes of a text.
std::string cut(std::string_view text, std::size_t most = text_max);

}  // namespace cpns::plugins::isolation
