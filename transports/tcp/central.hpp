#pragma once
// The gateway's side: while it scans, it accepts connections that begin with a hello, and sends beacons.

#include <memory>
#include <unordered_map>

#include "transports/tcp/beacon.hpp"
#include "transports/tcp/hub.hpp"

namespace cpns::tcp {

class central final : public hub {
 public:
  /// Binds; throws sdk::unavailable if that fails, and sdk::bad_parameter as hub does. A probe binds any free port.
  central(sdk::host out, settings s, bool probe);
  /// [any-thread]
  void scan(bool on);
  /// [any-thread]
  void save_power(bool on);

 private:
  void accept();
  void refuse(const stream& socket);
  void greet(const std::shared_ptr<connection>& c);
  void hello_in(connection& c, std::span<const std::uint8_t> body) override;
  void gone(const connection&) override {}
  void stranger_gone(const connection& c) override;
  void shut() override;

  asio::basic_socket_acceptor<asio::ip::tcp, executor> acceptor_;
  timer pause_;
  beacon_sender beacon_;
  bool scanning_ = false, accepting_ = false;
  bool files_reported_ = false;
  bool accept_failed_ = false;  ///< logged, and no accept succeeded since
  std::unordered_map<const connection*, std::shared_ptr<connection>>
      strangers_;  ///< connections without a hello yet
};

}  // namespace cpns::tcp
