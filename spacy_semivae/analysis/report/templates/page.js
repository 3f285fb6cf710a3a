"use strict";
(async () => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // Plotly stands in the page once, packed: unpack it and run it.
  async function loadPlotly() {
    const packed = atob(document.getElementById("plotly").textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  // Colours of paper and text are those of the page, light or dark.
  function paint(canvas) {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const scale = [[0, color("--card")], [1, color("--full")]];
    const maps = [...canvas.data.keys()].filter((i) => canvas.data[i].type === "heatmap");
    const changes = {
      "paper_bgcolor": "rgba(0,0,0,0)",
      "plot_bgcolor": "rgba(0,0,0,0)",
      "font.color": color("--text"),
      "font.family": getComputedStyle(document.body).fontFamily,
      "font.size": 12,
      "hoverlabel.bgcolor": color("--card"),
      "hoverlabel.bordercolor": color("--line"),
      "hoverlabel.font.color": color("--text"),
    };
    for (const axis of Object.keys(canvas.layout).filter((key) => /^[xy]axis/.test(key))) {
      for (const part of ["gridcolor", "linecolor", "zerolinecolor"]) {
        changes[`${axis}.${part}`] = color("--line");
      }
    }
    return maps.length
      ? Plotly.update(canvas, { colorscale: [scale] }, changes, maps)
      : Plotly.relayout(canvas, changes);
  }

  try {
    await loadPlotly();
    const config = { responsive: true, displayModeBar: false };
    const canvases = [];
    for (const figure of document.querySelectorAll("figure.plot")) {
      const canvas = figure.querySelector(".canvas");
      const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
      await Plotly.newPlot(canvas, data, layout, config);
      await paint(canvas);
      canvases.push(canvas);
    }
    dark.addEventListener("change", () => {
      canvases.forEach(paint);
    });
    document.documentElement.dataset.drawn = canvases.length;
  } catch (error) {
    const failure = document.getElementById("failure");
    failure.textContent = `The plots cannot be drawn: ${error.message}`;
    failure.hidden = false;
    throw error;
  }
})();
