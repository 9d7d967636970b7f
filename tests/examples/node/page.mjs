// Runs a script as a web page of an origin, in a browser's stead: with its fetch, its sendBeacon and its CORS rules.
import { Window } from "happy-dom";

const page = new Window({ url: `${process.env.PAGE_ORIGIN}/` });
const script = new Function("fetch", "navigator", "console", `return (async () => {${process.env.PAGE_SCRIPT}})()`);
const show = (error) => console.log(`${error.name}: ${error.message}`);

// Of a beacon that fails, a browser tells its console only.
process.on("unhandledRejection", show);
await script(page.fetch.bind(page), page.navigator, console).catch(show);
await page.happyDOM.waitUntilComplete();
await page.happyDOM.close();
