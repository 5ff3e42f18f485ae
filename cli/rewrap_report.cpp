#include "cli/rewrap_report.hpp"

#include <boost/json.hpp>
#include <exception>
#include <stdexcept>
#include <utility>

#include "config/describe.hpp"

namespace cpns::cli {
namespace {

config::protector_config config_of(const storage::key_source& k) {
  return {k.kind == storage::protector_kind::file ? config::protector_kind::file
                                                  : config::protector_kind::passphrase,
          k.file};
}

std::string text_at(const boost::json::object& o, const char* name) {
  return boost::json::value_to<std::string>(o.at(name));
}

template <class E>
E word_at(const boost::json::object& o, const char* name) {
  const auto word = text_at(o, name);
  for (const auto& [value, text] : config::enum_words<E>::all)
    if (word == text) return value;
  throw std::invalid_argument(word);
}

config::protector_config protector_at(const boost::json::object& o, const char* name) {
  const auto& in = o.at(name).as_object();
  return {word_at<config::protector_kind>(in, "kind"), text_at(in, "file")};
}

}  // namespace

rewrap_outcome outcome_of_change(config::role_kind role, std::string place, storage::key_change done) {
  return {role,         std::move(place), config_of(done.before), config_of(done.now), done.key_made,
          done.old_key, done.keys};
}

boost::json::object state_of(const config::protector_config& c) {
  return {{"kind", std::string(config::word_of(c.kind))}, {"file", c.file.string()}};
}
boost::json::object state_of(const storage::key_source& k) { return state_of(config_of(k)); }

boost::json::object json_of(const rewrap_outcome& r, bool in_place) {
  return {{"role", std::string(config::word_of(r.role))},
          {"place", r.place},
          {"rewrapped", r.keys.rewrapped},
          {"already", r.keys.already},
          {"absent", r.keys.absent},
          {"key_made", r.key_made},
          {"in_place", in_place},
          {"protector", state_of(r.now)},
          {"old", state_of(config::protector_config{r.before.kind, r.old_key})}};
}

result<rewrap_outcome> rewrap_outcome_of(const boost::json::value& v) {
  try {
    const auto& o = v.as_object();
    rewrap_outcome out;
    out.role = word_at<config::role_kind>(o, "role");
    out.place = text_at(o, "place");
    out.now = protector_at(o, "protector");
    out.before = protector_at(o, "old");
    out.old_key = out.before.file;
    if (o.at("in_place").as_bool()) out.before.file = out.now.file;
    out.key_made = o.at("key_made").as_bool();
    out.keys.rewrapped = o.at("rewrapped").to_number<std::size_t>();
    out.keys.already = o.at("already").to_number<std::size_t>();
    out.keys.absent = o.at("absent").to_number<std::size_t>();
    return out;
  } catch (const std::exception&) {
    return fail(errc::peer_bad_state, "the role gave an answer of another form; is it of another version?");
  }
}

}  // namespace cpns::cli
