#include "config/check_settings.hpp"

#include "config/reading.hpp"

namespace cpns::config {

template <class V>
void describe(V& v, check_settings& c) {
  v("both", c.both, "Parameters of both roles.", rules{});
  v("central", c.central, "Parameters of the central alone.", rules{});
  v("peripheral", c.peripheral, "Parameters of the peripheral alone.", rules{});
  v("few_links", c.few_links, "Parameters with which the plugin declares few links.", rules{});
  v("refused", c.refused, "name=value that open has to refuse.", rules{});
}

loaded<check_settings> load_check_settings(const path& file, const environment& env) {
  reading r;
  r.env = env;
  r.found.file = file;
  check_settings out;
  const auto text = read_yaml_file(file, r.found);
  if (r.found.none()) {
    const auto root = parse_yaml(text, r.found);
    r.places.emplace("", root.at);
    if (r.found.none()) take_section(r, "", root, out);
  }
  if (r.found.none()) return out;
  r.found.sort();
  return tl::unexpected<problems>(std::move(r.found));
}

}  // namespace cpns::config
