// The page's entry: styles, then the application in its place.

import "./styles/base.css";
import "./styles/parts.css";
import "./styles/views.css";
import { render } from "preact";
import { App } from "./app.tsx";

render(<App />, document.getElementById("page") as HTMLElement);
